"""The guard in one request: which checks are asked, what of them goes on record, and what each means for the answer."""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from charter.core.rows import Conversation
from charter.guard.decision import Checked
from charter.guard.engine import Guard
from charter.guard.gateway._line import PROSE, Edit
from charter.guard.gateway.moderating import Moderating
from charter.guard.gateway.parts import Parts
from charter.guard.gateway.record import Exchange
from charter.guard.gateway.recording import Recorder
from charter.guard.gateway.streaming import Final
from charter.guard.gateway.surfaces._located import Located, get, mapped, put, rewritten
from charter.guard.gateway.surfaces._surface import Asked, Said, Withheld
from charter.guard.gateway.wire.errors import GatewayError, content_filter, unavailable
from charter.guard.holdback import Approval, Probe, Window
from charter.guard.policy import StreamPolicy
from charter.guard.segments import has_media
from charter.guard.vault import Vault

_ENDLESS = StreamPolicy(max_chars=1 << 40)


@dataclass(slots=True)
class Checking:
    """All checks of one request. Also what the pump asks (``streaming.Checks``)."""

    guard: Guard
    recorder: Recorder
    exchange: Exchange
    asked: Asked
    refusal_in_content: bool = False
    #: What each prompt is after its check, masked if need be: what a reply answers.
    prompts: list[Conversation] = field(default_factory=list)
    vaults: list[Vault | None] = field(default_factory=list)
    active: bool = False
    blocks_media: bool = False
    moderating: Moderating | None = None
    parts: Parts = field(init=False)

    def __post_init__(self) -> None:
        self.parts = Parts(self.exchange)
        self.active = bool(self.guard.rails["output"]) or self.moderating is not None
        self.blocks_media = self.guard.policy.media == "block"

    async def inputs(self) -> list[Checked]:
        """The checks of every prompt, in order; none if no rail reads requests, which is a bypass."""
        located = self.asked.prompts
        media = any(has_media(prompt.conversation, "input") for prompt in located)
        self.prompts = [prompt.conversation for prompt in located]
        self.vaults = [None] * len(located)
        if not self.guard.rails["input"] and not (media and self.blocks_media):
            self.exchange.bypass += ["unguarded", *(["media"] if media else [])]
            return []
        if len(located) == 1:
            found = [await self.guard.acheck(located[0].conversation, "input")]
        else:
            found = await self.guard.acheck_many([prompt.conversation for prompt in located], "input")
        self.exchange.inputs += found
        if all(checked.passes for checked in found):
            self.prompts = [checked.conversation for checked in found]
            self.vaults = [checked.vault for checked in found]
        return found

    def forward(self, found: Sequence[Checked]) -> dict[str, Any]:
        """The body for the upstream, masked. Raises KeyError for what cannot be masked."""
        body = self.asked.body
        for located, checked in zip(self.asked.prompts, found, strict=False):
            if checked.masks:
                body = rewritten(body, located, checked.masks)
        return body

    async def outputs(self, said: Sequence[Said]) -> list[Checked]:
        """The checks of all replies of a whole answer, on record. Raises GatewayError if one of them failed."""
        if not self.active and not (self.blocks_media and any(has_media(s.located.conversation, "output") for s in said)):
            self.exchange.bypass.append("unguarded")
            return []
        checks = [self.guard.acheck(self._conversation(each), "output") for each in said]
        found = [await checks[0]] if len(checks) == 1 else list(await asyncio.gather(*checks))
        for each, checked in zip(said, found, strict=True):
            self.exchange.heard(checked, each.choice)
            if not checked.unavailable:
                self.parts.settled(each.choice)
        await self.recorder.record(found, "output")
        if any(checked.unavailable for checked in found):
            raise unavailable()
        return found

    def _conversation(self, said: Said) -> Conversation:
        return Conversation(messages=(*self.prompts[said.prompt].messages, *said.located.conversation.messages))

    def settled(self, answer: dict[str, Any], said: Sequence[Said], found: Sequence[Checked]) -> tuple[dict[str, Any], dict[int, Withheld], set[int]]:
        """An answer with masks and values put in place; the choices that are withheld; those whose text is another now."""
        withheld: dict[int, Withheld] = {}
        changed: set[int] = set()
        for number, each in enumerate(said):
            checked = found[number] if found else None
            if checked is not None and not checked.passes:
                withheld[each.choice] = self.words(checked)
                continue
            before = answer
            try:
                if checked is not None and checked.masks:
                    answer = rewritten(answer, each.located, [mask._replace(message=0) for mask in checked.masks])
                answer = self._restored(answer, each)
            except KeyError:
                withheld[each.choice] = self._own_words(each.located)
                continue
            if answer is not before:
                changed.add(each.choice)
        return answer, withheld, changed

    async def moderated_input(self, param: str) -> GatewayError | None:
        """Why the moderation that the request asks for withholds it."""
        if self.moderating is None:
            return None
        words = self.guard.refusal(self.exchange.decision_id)
        error = await self.moderating.input([prompt.conversation for prompt in self.asked.prompts], words, param)
        if error is not None and error.status == 400:
            self.exchange.blocked_by.append("moderation")
        return error

    async def moderated(self, said: Sequence[Said]) -> dict[int, Withheld]:
        """The replies that the moderation withholds. Raises GatewayError if it failed and was to withhold."""
        held: dict[int, Withheld] = {}
        if self.moderating is None:
            return held
        for each in said:
            error = await self.moderating.output(each.choice, each.located.conversation)
            if error is not None and error.status != 400:
                raise error
            if error is not None:
                self.exchange.blocked_by.append("moderation")
                held[each.choice] = Withheld(self.guard.refusal(f"{self.exchange.decision_id} {each.choice}"), self.refusal_in_content)
        return held

    def words(self, checked: Checked) -> Withheld:
        return Withheld(checked.replacement or self.guard.refusal(checked.decision.subject), self.refusal_in_content)

    def _own_words(self, located: Located) -> Withheld:
        """For what no check has words for. Counts as blocked."""
        self.exchange.blocked_by.append("cannot be masked")
        return Withheld(self.guard.refusal(located.conversation.id), self.refusal_in_content)

    def _restored(self, answer: dict[str, Any], said: Said) -> dict[str, Any]:
        vault = self.vaults[said.prompt]
        if vault is None:
            return answer
        for (_, kind, _), path in said.located.paths.items():
            as_json = (kind == "arguments" and path[-1] == "arguments") or (self.asked.structured and path[-1] in ("content", "text"))
            value = get(answer, path)
            restored = mapped(value, functools.partial(vault.restore, as_json=as_json))
            if restored != value:
                answer = put(answer, path, restored)
        return answer

    async def error_message(self, message: str) -> str:
        """What an error of the upstream says, if the output rails let it through as they would a reply, and that is on record; '' otherwise. Raises
        GatewayError if it cannot be recorded."""
        if self.moderating is not None and self.moderating.holds:
            return ""  # the client wants what is said to it scored first, and an error is no reply that could be
        if self.active:
            checked = await self.guard.acheck(self.prompts[0].with_reply(message), "output")
            self.exchange.heard(checked, None)
            await self.recorder.record([checked], "output")
            message = (checked.conversation.reply or "") if checked.passes else ""
            self.exchange.bypass += checked.bypass
        else:
            self.exchange.bypass.append("unguarded")
        vault = self.vaults[0]
        return vault.restore(message) if vault is not None else message

    # What the pump asks.

    def window(self, channel: str) -> Window:
        if not self.active:
            return Window(_ENDLESS, mode="async")
        if self.moderating is not None and self.moderating.holds:
            return self.guard.window("full")
        return self.guard.window(None if channel in PROSE and not (self.asked.structured and channel == "content") else "full")

    def vault(self, prompt: int) -> Vault | None:
        return self.vaults[prompt]

    async def part(self, choice: int, prompt: int, probe: Probe) -> Approval:
        approval = await self.guard.aapprove(self.prompts[prompt], probe)
        if approval.checked is not None and approval.checked.bypass:  # text leaves on this check's word, whatever the last one says
            self.exchange.bypass += approval.checked.bypass
        if not approval.passes and approval.checked is not None and approval.checked.unavailable:
            self.exchange.heard(approval.checked, choice)
            await self.recorder.record([approval.checked], "output")
            raise unavailable()
        if approval.passes and approval.checked is not None:
            self.parts.passed(choice, self.prompts[prompt], approval.checked)
        return approval

    async def blocked(self, choice: int, why: str, approval: Approval | None) -> Withheld:
        checked = approval.checked if approval is not None and not approval.passes else None
        if checked is None:
            self.exchange.blocked_by.append(why)
            return Withheld(self.guard.refusal(f"{self.exchange.decision_id} {choice}"), self.refusal_in_content)
        self.exchange.heard(checked, choice)
        self.parts.settled(choice)
        await self.recorder.record([checked], "output")
        return self.words(checked)

    async def whole(self, said: Said) -> Final:
        [checked], held = await asyncio.gather(self.outputs([said]), self.moderated([said]))
        if not checked.passes or held:
            return Final(held.get(said.choice) if checked.passes else self.words(checked), {})
        masks: dict[str, tuple[Edit, ...]] = {}
        for mask in checked.masks:
            path = said.located.paths.get((0, mask.field, mask.nth))
            if path is None:
                return Final(self._own_words(said.located), {})
            masks[str(path[0])] = (*masks.get(str(path[0]), ()), (mask.start, mask.end, mask.placeholder))
        self.exchange.replies[said.choice] = checked
        return Final(None, masks)


def refused_input(found: Sequence[Checked], param: str) -> GatewayError | None:
    """The error for prompts that may not go on: the guard's own failure first. None if they all may."""
    held = [checked for checked in found if not checked.passes]
    if not held:
        return None
    if any(checked.unavailable for checked in held):
        return unavailable()
    first = held[0]
    if first.by == ("media",):
        message = "pictures, sound and video are not let through here: no rail reads them"
        return GatewayError(400, "unsupported_content", message, param=param, retry=False)
    return filtered(first, param)


def filtered(checked: Checked, param: str) -> GatewayError:
    hazards = {hazard: True for account in checked.accounts if account.rail in checked.by for hazard in account.hazards}
    return content_filter(checked.replacement or "The request was withheld.", param, hazards)
