"""``Guard.wrap``: a guard around any callable that turns a prompt into text.

Which argument is guarded is settled by the signature when the callable is wrapped, never by position in a call: a guard that reads a model's name and
passes the messages unread would be none. Where the signature leaves it open, wrapping is refused.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import AsyncIterator, Callable, Iterator
from typing import TYPE_CHECKING, Any, Literal

from charter.core.errors import InputError
from charter.core.rows import Conversation, Reply
from charter.guard._guarded import BlockedError, restored
from charter.guard._refusal import UNAVAILABLE
from charter.guard.decision import Checked
from charter.guard.messages import conversation_of, with_texts
from charter.guard.vault import Vault

if TYPE_CHECKING:
    from charter.guard.engine import Guard

OnBlock = Literal["refuse", "raise"]
#: What the guarded parameter is called, where none is named.
NAMES = ("prompt", "messages", "conversation")
#: From the arguments of one call to the guarded one, and what asks the callable with another in its place.
Opened = tuple[Any, Callable[[Any], Any]]
Open = Callable[[tuple[Any, ...], dict[str, Any]], Opened]
_NAMED = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)


def wrap(guard: Guard, function: Callable[..., Any] | None, on_block: OnBlock, argument: str | None) -> Any:
    """See ``Guard.wrap``. The wrapped callable gets the (masked) request in the form it was given in. Raises InputError where it is not clear which
    argument that is."""
    if on_block not in ("refuse", "raise"):
        raise ValueError(f"on_block is refuse or raise, not {on_block!r}")
    if function is None:
        return lambda given: wrap(guard, given, on_block, argument)
    open_ = _opener(function, argument)
    called = function if inspect.isroutine(function) or isinstance(function, functools.partial | type) else function.__call__  # type: ignore[operator]
    if inspect.isasyncgenfunction(called):
        return _wrap_async_stream(guard, function, open_, on_block)
    if inspect.iscoroutinefunction(called):
        return _wrap_async(guard, function, open_, on_block)
    if inspect.isgeneratorfunction(called):
        return _wrap_stream(guard, function, open_, on_block)
    return _wrap_plain(guard, function, open_, on_block)


def _opener(function: Callable[..., Any], argument: str | None) -> Open:
    told = getattr(function, "__qualname__", type(function).__name__)
    try:
        signature = inspect.signature(function)
    except (TypeError, ValueError):
        raise InputError(f"{told} has no signature to read, so it cannot be guarded", "wrap a function that calls it: def ask(prompt): ...") from None
    name = _guarded_name(told, signature, argument, bound=not inspect.isfunction(function))

    def open_(args: tuple[Any, ...], kwargs: dict[str, Any]) -> Opened:
        bound = signature.bind(*args, **kwargs)

        def ask(prompt: Any) -> Any:
            bound.arguments[name] = prompt
            return function(*bound.args, **bound.kwargs)

        return bound.arguments.get(name, signature.parameters[name].default), ask

    return open_


def _guarded_name(told: str, signature: inspect.Signature, argument: str | None, bound: bool) -> str:
    """The parameter to guard: the one that is named, else the one with a telling name, else the only one that a call has to give."""
    named = [parameter for parameter in signature.parameters.values() if parameter.kind in _NAMED]
    if not bound and named and named[0].name in ("self", "cls"):
        del named[0]
    if argument is not None:
        found = [parameter for parameter in named if parameter.name == argument]
    else:
        found = [parameter for parameter in named if parameter.name in NAMES]
        found = found or [parameter for parameter in named if parameter.default is inspect.Parameter.empty]
    if len(found) != 1:
        has = ", ".join(parameter.name for parameter in named) or "none by name"
        what = "which argument is the prompt" if argument is None else f"an argument {argument!r}"
        raise InputError(f"{told}: its signature does not tell {what}; it has: {has}", 'name it: @guard.wrap(argument="...")')
    return found[0].name


def _wrap_plain(guard: Guard, function: Callable[..., Any], open_: Open, on_block: OnBlock) -> Callable[..., Any]:
    @functools.wraps(function)
    def guarded(*args: Any, **kwargs: Any) -> str | Iterator[str]:
        prompt, ask = open_(args, kwargs)
        request = guard.check(conversation_of(prompt), "input")
        if not request.passes:
            return _refuse(request, on_block)
        said = ask(_like(prompt, request))
        if isinstance(said, Iterator):
            return _pieces(guard, request, said, on_block)
        output = guard.check(request.conversation.with_reply(_text(said)), "output")
        return restored(request.vault, output.conversation.reply or "") if output.passes else _refuse(output, on_block)

    return guarded


def _wrap_async(guard: Guard, function: Callable[..., Any], open_: Open, on_block: OnBlock) -> Callable[..., Any]:
    @functools.wraps(function)
    async def guarded(*args: Any, **kwargs: Any) -> str:
        prompt, ask = open_(args, kwargs)
        request = await guard.acheck(conversation_of(prompt), "input")
        if not request.passes:
            return _refuse(request, on_block)
        text = _text(await ask(_like(prompt, request)))
        output = await guard.acheck(request.conversation.with_reply(text), "output")
        return restored(request.vault, output.conversation.reply or "") if output.passes else _refuse(output, on_block)

    return guarded


def _wrap_stream(guard: Guard, function: Callable[..., Any], open_: Open, on_block: OnBlock) -> Callable[..., Iterator[str]]:
    @functools.wraps(function)
    def guarded(*args: Any, **kwargs: Any) -> Iterator[str]:
        prompt, ask = open_(args, kwargs)
        request = guard.check(conversation_of(prompt), "input")
        if request.passes:
            yield from _pieces(guard, request, ask(_like(prompt, request)), on_block)
        else:
            yield _refuse(request, on_block)

    return guarded


def _pieces(guard: Guard, request: Checked, said: Iterator[Any], on_block: OnBlock) -> Iterator[str]:
    """What may leave of a reply that comes piece by piece."""
    stream = guard.holdback(request.conversation)
    restorer = (request.vault or Vault()).restorer()
    for piece in said:
        if out := restorer.push(stream.push(_text(piece))):
            yield out
        if stream.stopped:
            break
    out = restorer.push(stream.finish()) + restorer.finish()
    if out and not stream.stopped:
        yield out
    if stream.stopped:
        yield _refuse(stream.window.checked, on_block)


def _wrap_async_stream(guard: Guard, function: Callable[..., Any], open_: Open, on_block: OnBlock) -> Callable[..., AsyncIterator[str]]:
    @functools.wraps(function)
    async def guarded(*args: Any, **kwargs: Any) -> AsyncIterator[str]:
        prompt, ask = open_(args, kwargs)
        request = await guard.acheck(conversation_of(prompt), "input")
        if not request.passes:
            yield _refuse(request, on_block)
            return
        stream = guard.aholdback(request.conversation)
        restorer = (request.vault or Vault()).restorer()
        async for piece in ask(_like(prompt, request)):
            if out := restorer.push(await stream.push(_text(piece))):
                yield out
            if stream.stopped:
                break
        out = restorer.push(await stream.finish()) + restorer.finish()
        if out and not stream.stopped:
            yield out
        if stream.stopped:
            yield _refuse(stream.window.checked, on_block)

    return guarded


def _refuse(checked: Checked | None, on_block: OnBlock) -> str:
    if on_block == "raise":
        reason = checked.reason if checked is not None else "the check failed"
        raise BlockedError(f"withheld by the guard: {reason}", "", checked)
    return (checked.replacement if checked is not None else None) or UNAVAILABLE


def _text(said: object) -> str:
    if isinstance(said, Reply):
        said = said.text
    if inspect.iscoroutine(said):
        said.close()
    if inspect.isawaitable(said) or isinstance(said, AsyncIterator):
        raise TypeError("a guarded callable that has to be awaited must be written with async def, so that the guard can wait for it")
    if not isinstance(said, str):  # what cannot be read cannot be checked
        raise TypeError(f"a guarded callable must return text, not {type(said).__name__}")
    return said


def _like(prompt: Any, request: Checked) -> Any:
    """The checked (perhaps masked) request in the form the caller gave it."""
    if isinstance(prompt, Conversation):
        return request.conversation
    if isinstance(prompt, str):
        return request.conversation.prompt
    return with_texts(prompt, request.conversation) if request.masks else prompt
