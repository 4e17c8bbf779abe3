"""The words of ``care`` in other languages than English: Arabic, Chinese, Dutch, French, German, Hindi, Indonesian, Italian, Japanese, Korean,
Polish, Portuguese, Russian, Spanish and Turkish.

One list for all of them, since a text may mix them. A word that means something harmless in another of these languages, or in English, stands in
``PERHAPS_MINOR`` (German "Kinder", French "mineur"), or only inside a phrase (Arabic has one word for "sexual" and "nationality", Korean one for
"sexual" and "marks at school"). Words for parts of the body are read in English alone.
"""

from __future__ import annotations

import re

_AGE = r"(?<!\d)(1[0-7]|[1-9])"
#: Arabic writes "and", "the", "for" and the like onto the word.
_AR = "(?<!\\w)[والبكلف]{0,4}"

MINOR = re.compile(
    r"\b(niñ[oa]s?|niñit[oa]s?|niñez|ninos|menor(es)? de (edad|idade)|infan(cia|til|tiles|tis|zia|tili|tiles)|adolescentes?|adolescenti|bebés?|bebês?"
    r"|crian(ça|ças|cinha|cinhas)|menin[oa]s?|garotinh[oa]s?"
    r"|enfants?|enfance|fillettes?|garçonnets?|gamine?s?|écoli(er|ère)s?|collégien(ne)?s?|lycéen(ne)?s?|nourrissons?|petite?s? (fille|garçon)s?"
    r"|(klein|schul|vorschul)kind\w*|kind(es|ern)|minderj(ä|ae?)hrig\w*|säugling\w*|jugendlich\w*|grundschüler\w*"
    r"|kinderen|kindje|kindjes|minderjarig\w*|tieners?|peuters?|kleuters?|jongetjes?"
    r"|bambin[oaie]|minorenn[ei]|ragazzin[oaie]|neonat[oaie]|fanciull[oaie]"
    r"|dzie(ci\w*|ck\w+)|nieletni\w*|małoletni\w*|niepełnoletni\w*|nastolat\w*|niemowl\w*|dziewczyn(ka|ki|ek|kom|kami|kę|ką)|przedszkola\w*"
    r"|çocu[kğ]\w*|reşit olmayan\w*|bebe[kğ]\w*|ergen(ler\w*|lik\w*|in|i|e|le)?|küçük (kız|erkek|oğlan|yaşta)\w*"
    r"|anak[- ]anak|(anak )?di bawah umur|remaja|balita|bocah|anak (kecil|perempuan|laki-laki)"
    r"|дет(и|ей|ям|ями|ях)|детск\w*|детств\w*|реб[её]н\w*|несовершеннолетн\w*|подрост\w*|малолет\w*|школьни[кц]\w*|младен\w*|девочк\w*|мальчик\w*"
    r"|малыш\w*)\b"
    rf"|{_AR}(طفل\w{{0,3}}|أطفال\w*|اطفال\w*|طفولة|قاصر\w{{0,4}}|مراهق\w*|رضيع\w*)\b"
    r"|बच्च|नाबालिग|किशोर|शिशु|बालिका|बालक"
    r"|아동|어린이|미성년|청소년|아이들|유아|소녀|소년|초등학생|중학생|고등학생|여중생|여고생|영아"
    r"|兒童|孩子|小孩|幼童|女童|男童|青少年|初中生|高中生|高校生|婴儿|嬰兒|子ども|こども",
    re.IGNORECASE,
)
PERHAPS_MINOR = re.compile(
    r"\b(menores|minori|mineure?s?|ados|(?-i:Kinder\w*)|(für|mit|von|und|der|die|alle) kinder\w*"
    r"|kindlich\w*|mädchen|knaben?|schüler(n|in|innen)?|meisjes?|scholier(en)?|pubers?|basisschool\w*"
    r"|(ein|eine[ms]|das|dem|dieses|jedes|mein|dein|sein|ihr|unser|kein)(em|es)? kind|(een|het|dat|mijn|jouw|zijn|haar|ons|elk|geen) kind"
    r"|garot[oa]s?|colegial(es|as)?|alumn[oa]s|chłopc\w*|uczni\w*|uczennic\w*|siswi|siswa|bayi"
    rf"|{_AGE} (años|anos) de (edad|idade)|(tiene|tengo|tienen|tem|tenho|têm) {_AGE} (años|anos)|(menor|menores) de 1[0-8] (años|anos)"
    rf"|([nm]iñ[oa]|chic[oa]|joven|alumn[oa]|menin[oa]|garot[oa]|alun[oa]) de {_AGE} (años|anos)"
    rf"|(âgée?s? de|fille de|garçon de|élève de|ai|as|a) {_AGE} ans|moins de 1[0-8] ans"
    rf"|{_AGE}[- ]?jährig\w*|{_AGE} jahre alt|unter[- ]1[0-8]([- ]?jährig\w*)?|{_AGE}[- ]?jarig\w*|{_AGE} jaar oud|onder de 1[0-8]"
    rf"|(ha|hanno|ho|ragazz[oaie] di|alunn[oaie] di) {_AGE} anni|{_AGE}[- ]?letni\w*|{_AGE}[- ]?latk\w*|{_AGE} yaş\w*"
    rf"|(umur|usia|berusia|berumur) {_AGE}|{_AGE}[- ]?летн\w*)\b"
    rf"|{_AGE} ?(歳|才|岁|歲|살|세(?!기|대|트))|{_AGE} ?साल (की|का|के)",
    re.IGNORECASE,
)
SEXUAL = re.compile(
    r"\b(sexu(al(?!ity\b)|el|ell|ai)[^\W\d_]*|sexos?|sexes?|sess(o|ual\w*)|seks(?!izm|ist|tant)\w*|cinsel\w*|[eé]r[oó]ti[cqksz]\w*|erotycz\w*|\w*porn\w*"
    r"|mast[uü]rb\w*|p[eéaä]{1,2}d[oó](ph|f)[ií]l\w*|pederast\w*|inzest\w*|ensest\w*|kazirodz\w*|genital(es|i|ien|ia)|génita(l|le|ux|les)"
    r"|desnud\w*|nudez|nudité|dénudée?s?|nud[oaie]|nackt(?!schneck)\w*|naakt(?!slak)\w*|nagoś\w*|obnaż\w*|çıplak\w*|telanjang\w*"
    r"|violaci[oó]n(es)?(?! (de |del |a )(la |las |los |el |su |sus )?(derech|ley|norm|contrat|privac|confidenc|dato|acuerd))"
    r"|viols?(?! de)|violeurs?|stupr\w*|estupr\w*|vergewaltig\w*|verkracht\w*|aanrand\w*|ontucht\w*|gwałt(u|em|y|ów)?|gwałc\w*|zgwałc\w*|tecavüz\w*"
    r"|müstehcen\w*|perkosa\w*|pemerkosa\w*|cabul|pencabulan|mesum|setubuh\w*|persetubuh\w*|unzucht|unzüchtig\w*|geschlechtsverkehr\w*|beischlaf"
    r"|attouchements?|coito|manose\w*|molest(ow|i[ae])\w*|(stosun\w+|wychowani\w+|życi\w+|popęd\w*) płciow\w+"
    r"|секс(?!изм|ист|тант)\w*|полов\w+ (воспитан|жизн|связ|сношен|акт|контакт|неприкосн)\w*|интимн\w* (связ|близ|фото)\w*|эроти\w*|изнасил\w*"
    r"|обнаж[её]н\w*|растлен\w*|совращ\w*|развратн\w*|развращ\w*|мастурб\w*|порн\w*|педофил\w*|инцест\w*)\b"
    rf"|{_AR}(جنسي|جنسيا|جنسيًا|جنسياً)\b|(ممارس\w+|علاق\w+|تربي\w+|صح\w+|إساء\w+|إثار\w+|ثقاف\w+|اعتداء\w*) (ال)?جنسي\w*|ممارسة الجنس"
    r"|اغتصاب|إباحي|تحرش"
    r"|यौन|सेक्स|अश्लील|कामुक|नग्न|बलात्कार|दुष्कर्म|संभोग|हस्तमैथुन|पोर्न"
    r"|성행위|성관계|성교육|성폭력|성폭행|성추행|성희롱|성학대|성착취|성범죄|성적인|성적 (학대|행위|착취|접촉|묘사|내용)|성기(?!능)"
    r"|섹스|음란|포르노|강간|나체|알몸|야동|소아성애"
    r"|性教育|性侵|性行[为為]|性虐待|性暴力|性犯罪|性骚扰|性騷擾|性[爱愛]|强奸|做[爱愛]|[裸]照|淫[秽穢行]|猥[亵褻]|自慰|(?<![ァ-ヿ])ヌード(?![ァ-ヿー])",
    re.IGNORECASE,
)
#: One of these stands in whatever ``SEXUAL`` matches.
PARTS = tuple(
    "sex sess seks cinsel eroti éroti eróti érót erotyc porn masturb mastürb pedo pédo pädo paedo pedó pédó pederast inzest ensest kazirodz genital "
    "génita desnud nud dénud nackt naakt nagoś obnaż çıplak telanjang viol stupr vergewaltig verkracht aanrand ontucht gwał tecavüz müstehcen "
    "perkosa merkosa cabul mesum setubuh unzucht unzücht geschlechtsverk beischlaf attouch coito manose molest płciow "
    "секс полов интимн эроти изнасил обнаж растлен совращ разврат развращ мастурб порн педофил инцест "
    "جنس اغتصاب إباحي تحرش यौन सेक्स अश्लील कामुक नग्न बलात्कार दुष्कर्म संभोग हस्तमैथुन पोर्न "
    "성행위 성관계 성교육 성폭력 성폭행 성추행 성희롱 성학대 성착취 성범죄 성적 성기 섹스 음란 포르노 강간 나체 알몸 야동 소아성애 "
    "性 强奸 做爱 做愛 裸照 淫 猥 自慰 ヌード".split()
)
