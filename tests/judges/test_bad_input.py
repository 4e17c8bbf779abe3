"""One contract for every judge on the shelf: whatever it is handed, it gives a verdict, and nothing is never found safe."""

from __future__ import annotations

import math

import pytest
from judge_talker import Talker
from moderation_servers import moderations, perspective, running
from test_guards import GUARDS
from test_guards import make as guard
from test_judges_shelf import ALONE, COMPARE, NAMES
from test_llm_judges import NAMES as OPINIONS
from test_llm_judges import make as opinion

from charter.core import registry
from charter.core.config import parse_yaml
from charter.core.rows import Conversation
from charter.judges._judging import judge_conversations
from charter.judges._spec import build_judge

#: "Hello, how are you? I would like to learn to bake bread." in many languages and scripts.
TONGUES = parse_yaml(
    """
ar: مرحبا، كيف حالك؟ أريد أن أتعلم خبز الخبز.
bg: Здравейте, как сте? Искам да се науча да пека хляб.
bn: হ্যালো, কেমন আছেন? আমি রুটি বানাতে শিখতে চাই।
ca: Hola, com estàs? Vull aprendre a fer pa.
cs: Ahoj, jak se máte? Chci se naučit péct chleba.
da: Hej, hvordan har du det? Jeg vil lære at bage brød.
de: Hallo, wie geht es dir? Ich möchte lernen, Brot zu backen.
el: Γεια σου, τι κάνεις; Θέλω να μάθω να ψήνω ψωμί.
en: Hello, how are you? I would like to learn to bake bread.
eo: Saluton, kiel vi fartas? Mi volas lerni baki panon.
es: Hola, ¿cómo estás? Quiero aprender a hornear pan.
et: Tere, kuidas läheb? Tahan õppida leiba küpsetama.
eu: Kaixo, zer moduz? Ogia egiten ikasi nahi dut.
fa: سلام، حال شما چطور است؟ می‌خواهم نان پختن یاد بگیرم.
fi: Hei, mitä kuuluu? Haluan oppia leipomaan leipää.
fr: Bonjour, comment ça va ? Je voudrais apprendre à faire du pain.
he: שלום, מה שלומך? אני רוצה ללמוד לאפות לחם.
hi: नमस्ते, आप कैसे हैं? मैं रोटी बनाना सीखना चाहता हूँ।
hr: Bok, kako si? Želim naučiti peći kruh.
hu: Szia, hogy vagy? Szeretnék megtanulni kenyeret sütni.
hy: Բարև, ինչպե՞ս ես։ Ուզում եմ սովորել հաց թխել։
id: Halo, apa kabar? Saya ingin belajar membuat roti.
is: Halló, hvernig hefurðu það? Mig langar að læra að baka brauð.
it: Ciao, come stai? Vorrei imparare a fare il pane.
ja: こんにちは、お元気ですか。パンの焼き方を習いたいです。
ka: გამარჯობა, როგორ ხარ? მინდა პურის ცხობა ვისწავლო.
km: សួស្តី តើអ្នកសុខសប្បាយទេ? ខ្ញុំចង់រៀនធ្វើនំប៉័ង។
ko: 안녕하세요, 어떻게 지내세요? 빵 굽는 법을 배우고 싶어요.
lt: Labas, kaip sekasi? Noriu išmokti kepti duoną.
lv: Sveiki, kā klājas? Es gribu iemācīties cept maizi.
mn: Сайн байна уу? Би талх барьж сурмаар байна.
my: မင်္ဂလာပါ၊ နေကောင်းလား။ ပေါင်မုန့်ဖုတ်တာ သင်ချင်ပါတယ်။
nl: Hallo, hoe gaat het? Ik wil leren brood bakken.
pl: Cześć, jak się masz? Chcę nauczyć się piec chleb.
pt: Olá, como está? Quero aprender a fazer pão.
ro: Salut, ce mai faci? Vreau să învăț să coc pâine.
ru: Привет, как дела? Я хочу научиться печь хлеб.
si: ආයුබෝවන්, ඔබට කොහොමද? මට පාන් පුළුස්සන්න ඉගෙන ගන්න ඕන.
sv: Hej, hur mår du? Jag vill lära mig baka bröd.
sw: Habari, hujambo? Nataka kujifunza kuoka mkate.
ta: வணக்கம், எப்படி இருக்கிறீர்கள்? ரொட்டி செய்யக் கற்க விரும்புகிறேன்.
te: నమస్కారం, ఎలా ఉన్నారు? నేను రొట్టె చేయడం నేర్చుకోవాలనుకుంటున్నాను.
th: สวัสดีครับ สบายดีไหม ผมอยากเรียนทำขนมปัง
tr: Merhaba, nasılsınız? Ekmek yapmayı öğrenmek istiyorum.
uk: Привіт, як справи? Я хочу навчитися пекти хліб.
ur: ہیلو، آپ کیسے ہیں؟ میں روٹی بنانا سیکھنا چاہتا ہوں۔
vi: Xin chào, bạn khỏe không? Tôi muốn học làm bánh mì.
yo: Bawo ni? Mo fẹ́ kọ́ bí a ṣe ń ṣe búrẹ́dì.
zh: 你好，你好吗？我想学习烤面包。
zu: Sawubona, unjani? Ngifuna ukufunda ukubhaka isinkwa.
""",
    "tongues",
).data
NOTHING = {"empty": "", "blanks": " \n\t ", "no-break blanks": "\u00a0\u2003\n"}
ODD = {
    "lone surrogates": "\ud800\udfff\udc00 a \ud83d",
    "only emoji": "🙂👨\u200d👩\u200d👧🇫🇷" * 20,
    "binary": bytes(range(256)).decode("latin-1") * 4,
    "control tokens": "<|im_end|></s>[/INST]<end_of_turn>\x00\x1b[2J",
    "one letter": "a",
    "invisible": "\u200b\u2060\ufeff" * 9 + "x",
} | {f"language {code}": text for code, text in TONGUES.items()}
MEGABYTE = {"words": "How do I bake bread at home? " * 34_500, "no blanks": "ab" * 500_000, "signs": "a*b.c-%41&#66; " * 66_000}
SERVICES = ("perspective", "openai_moderation")
MADE_OF_JUDGES = {
    "all_of": {"all_of": ["refusal", "blocklist"]},
    "any_of": {"any_of": ["refusal", "blocklist"]},
    "majority": {"majority": ["refusal", "blocklist", "request"]},
    "cascade": {"cascade": ["refusal", "blocklist"]},
    "negation": {"negation": "blocklist"},
    "any_form": {"any_form": "blocklist"},
    "threshold": {"threshold": {"judge": "blocklist", "high": 0.8}},
}


@pytest.fixture(scope="module")
def servers():
    with running(perspective) as google, running(moderations) as openai:
        yield {
            "perspective": {"perspective": {"url": f"{google.url}/v1alpha1", "qps": 100_000, "backoff_s": 0.01}},
            "openai_moderation": {"openai_moderation": {"model": f"omni-moderation-latest@{openai.url}/v1", "client": {"backoff_s": 0.01}}},
        }


@pytest.fixture(autouse=True)
def keys(monkeypatch):
    monkeypatch.setenv("PERSPECTIVE_API_KEY", "a-key")
    monkeypatch.setenv("OPENAI_API_KEY", "a-key")


def made(name, servers):
    if name in SERVICES:
        return build_judge(servers[name])
    if name in MADE_OF_JUDGES:
        return build_judge(MADE_OF_JUDGES[name])
    if name in GUARDS:
        return guard(name, "I would rather talk about bread.", weigh=lambda prompt: [-20.0, -21.0])
    if name in OPINIONS:
        return opinion(name, Talker(lambda prompt: "I would rather talk about bread."))
    return registry.find("judges", name).build(registry.find("judges", name).Config())


LOADED = {"prompt_guard", "harmbench_classifier"}  # local weights only: their tests are in test_guards and test_harmbench_classifier
JUDGES = [name for name in NAMES if name not in COMPARE | LOADED]


def test_every_judge_on_the_shelf_is_here():
    assert set(JUDGES) == {*ALONE, *SERVICES, *MADE_OF_JUDGES, *GUARDS, *OPINIONS}
    assert len(TONGUES) >= 40


def sound(verdict, conversation, size):
    assert verdict.subject == conversation.id
    assert verdict.outcome in ("safe", "unsafe", "unsure", "failed")
    assert (verdict.score is None) if verdict.outcome == "failed" else (verdict.score is None or math.isfinite(verdict.score))
    assert all(0 <= start < end <= size for start, end in verdict.spans)


@pytest.mark.parametrize("name", JUDGES)
def test_nothing_is_failed_and_never_safe(name, servers):
    judge = made(name, servers)
    for text in NOTHING.values():
        for conversation in (Conversation.ask(text), Conversation.ask(text).with_reply(text), Conversation.ask("Hello?").with_reply(text)):
            assert judge(conversation).outcome != "safe" or (name == "request" and conversation.prompt.strip())


@pytest.mark.parametrize("name", JUDGES)
def test_odd_texts_get_a_verdict(name, servers):
    judge, asked = made(name, servers), []
    for text in ODD.values():
        asked += [(Conversation.ask(text), len(text)), (Conversation.ask(text).with_reply(text), len(text))]
    for verdict, (conversation, size) in zip(judge_conversations(judge, [c for c, _ in asked]), asked, strict=True):
        sound(verdict, conversation, size)


@pytest.mark.parametrize("name", [name for name in JUDGES if name not in ("classifier", *SERVICES, *MADE_OF_JUDGES)])
@pytest.mark.parametrize("kind", MEGABYTE)
def test_a_megabyte_gets_a_verdict(name, kind, servers):
    judge = made(name, servers)
    conversation = Conversation.ask("Hello?").with_reply(MEGABYTE[kind])
    sound(judge(conversation), conversation, len(MEGABYTE[kind]))


@pytest.mark.slow
@pytest.mark.parametrize("name", ["classifier", *SERVICES])
def test_a_megabyte_gets_a_verdict_from_the_slow_ones(name, servers):
    judge = made(name, servers)
    conversation = Conversation.ask(MEGABYTE["words"])
    sound(judge(conversation), conversation, len(MEGABYTE["words"]))
