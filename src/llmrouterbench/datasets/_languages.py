"""How an answer is announced in the languages that are most used with these models: nouns, verbs, small words.

English, Chinese, Spanish, French, German, Portuguese, Russian, Japanese, Korean, Arabic; also Hindi, Italian,
Vietnamese, Turkish, Dutch, Polish and Indonesian. All in lower case, as `_characters.folded` leaves them.
"""

from __future__ import annotations

import re

VALUE = ("answer", "ans", "solution", "result")
"""English nouns that a value follows."""
OPTION = ("answer", "ans", "option", "choice")
"""English nouns that an option follows."""
FOREIGN = (
    "答案", "答", "回答", "解答", "解", "结果", "結果", "结论", "結論", "正解", "答え",
    "정답", "답", "답변", "해답", "결과", "respuesta", "solución", "resultado", "réponse", "reponse", "résultat",
    "antwort", "endantwort", "lösung", "ergebnis", "endergebnis", "resposta", "solução", "risposta", "soluzione",
    "antwoord", "cevap", "cevabı", "cevabım", "yanıt",
    "yanıtı", "sonuç", "đáp án", "câu trả lời", "kết quả", "odpowiedź", "odpowiedzią", "jawaban", "jawabannya", "ответ",
    "ответом", "решение", "результат", "відповідь", "الإجابة", "الاجابة", "إجابة", "اجابة", "والإجابة",
    "الجواب", "جواب", "والجواب", "الحل", "النتيجة", "उत्तर", "जवाब",
)  # fmt: skip
"""Nouns of other languages that an answer follows."""
CHOICE = (
    "response", "selection", "pick", "correct statement", "true statement",
    "letter", "选项", "選項", "选择", "選擇", "選択肢", "선택지", "보기", "opción", "letra",
    "antwortmöglichkeit", "opção", "alternativa",
    "вариант", "буква", "الخيار", "الاختيار", "विकल्प", "phương án", "lựa chọn",
    "seçenek", "şık",
)  # fmt: skip
"""Rarer English nouns, and nouns of other languages, for one of several options."""

_BE = (
    r"(?:is|are|was|were|be|equals|becomes?|remains?|reads|comes? (?:out )?to(?: be)?|(?:works?|turns?) out to be"
    r"|(?:seems?|appears?|proves?|has|have|ought|happens?) to be|looks like|evaluates to|simplifies to|reduces to"
    r"|es|son|sería|seria|será|sera|fue|est|sont|serait|c['’]est|ist|sind|lautet|lauten|wäre|war|beträgt|é|são|foi|è"
    r"|sono|sarebbe|sarà|là|adalah|ialah|jest|brzmi|это|является|будет|будут|равен|равна|равно|هي|هو|يكون|تكون|है|हैं)(?!\w)"
)
_UNSPACED_BE = (
    r"(?:应该?|應該?|当然|當然|就|只能|便|即)?(?:是|为|為|选择?|選擇?|等于|等於)|即|は、?|が|은|는|이(?=\s)|가(?=\s)"
    r"|(?=[^\s।]{1,40}\s+(?:है|हैं))"
)
_SIGN = r"(?::|=+>?|[-–—]+>|→|⇒|➡|[-–—](?![\d.\\]))"
_ADVERB = (
    r"(?:\b(?:therefore|thus|simply|then|indeed|clearly|hence|now|just|precisely|exactly|obviously|definitely|certainly"
    r"|also|again|still|logically|mathematically|actually|in fact|of course|probably|most likely|likely|surely|best"
    r"|alors|donc|daher|somit|entonces|portanto|então|quindi)\b,?)"
)
LINK = rf"(?:{_ADVERB}\s*)?(?:(?P<be>\b{_BE}|{_UNSPACED_BE})(?:\s*{_ADVERB})*\s*(?P<sign>{_SIGN})?|(?P<only>{_SIGN}))"
"""What joins the noun to the answer: a verb, a sign, or both."""
_ADJECTIVE = (
    r"correct[aeo]?s?|finale?|definitiv[aeo]|right|true|best|richtige|korrekte|endgültige|correta|corretta|esatta|giusta"
    r"|juste|exacte|bonne|juist|poprawna|yang|đúng|chính|cuối|nhất|doğru|nihai|правильный|верный|окончательный|الصحيحة"
    r"|الصحيح|النهائية|النهائي|هنا|सही|अंतिम"
)
_PREPOSITION = (
    r"to|for|of|among|amongst|from|in|on|at|by|with|under|over|that|which|here|given|choice|option|letter|number|value"
    r"|you|we|i|based|out|after|according|using|as|would|should|must|could|can|might|may|will|therefore|thus|then|has"
    r"|ought|de|del|a|al|à|au|aux|du|para|que|más|zu|auf|zur|der|die|dieser|für|da|do|alla|di|per|на|к|для|của|cho|dari"
    r"|ini|van|op"
)
_NEITHER = r"\b(?:not|never|neither|nor|cannot|whether|if|unless|depends?)\b|n['’]t\b"
GAP = (
    r"(?:\s*\([^()\n]{1,60}\))?"
    rf"(?:[ \t]+(?:{_PREPOSITION}|{_ADJECTIVE})\b(?!['’])(?:(?!{_NEITHER})[^\n:.;!?]){{0,80}}?)?"
)
"""What may stand between the noun and the verb: "to the question", "that fits best", "correcta"."""
FILLER = (
    r"most likely|likely|clearly|therefore|thus|then|still|simply|probably|also|indeed|in fact|correct|right|best|true"
    r"|final|is|as|the one|labell?ed|number|marked|given by|given in|with|in|under|by|the|la|el|lo|le|il|die|der|das"
    r"|den|o|a(?= (?:alternativa|letra|op[cç]))|(?:first|second|third|fourth|fifth|last) (?:option|choice|one),?"
    r"|l['’]|para|mit|bei|opcion|alternativa|inciso|choix|lettre|proposition|opcao|opzione|lettera|optie|opcja|pilihan"
    r"|opsi|под|буквой|هو|هي|也|还|应该是?|應該是|即|是|为|為"
)
"""What may stand between the verb and a letter."""

DENIED = re.compile(
    rf"(?i)(?:{_ADVERB}\s*)*(?:not|never|neither|nor|nicht|kein|pas|não|nao|nie|niet|bukan|không|не|ليس|ليست|لا|无|不)"
    r"(?![a-zà-ÿа-я])(?!\.\s)"
)
"""What turns a statement into its contrary right after the verb."""
INSTEAD = re.compile(
    r"(?i)\b(?:but(?: rather)?|rather|instead|it(?:'s| is)|sino|mais|sondern|mas|ma|tetapi|ama|maar|lecz|а|بل)\b[\s,:]*"
    r"|而是\s*"
)
"""What gives, after a denial, the answer instead."""
DENIED_AFTER = (
    r"(?:では(?:な|あり)|じゃな|[가이] 아니|[가이] 아닙|değil|नहीं|不对|不正確|不正确|错"
    r"|is (?:not|wrong|incorrect)|isn['’]t)"
)
"""What denies the letter before it."""
_SO = r"\b(?:but|so|and|however|still|yet|hence|therefore|thus|then|now|because|since|as)\b"
DOUBTED = re.compile(
    r"(?i)(?:\b(?:not|never|doubt|deny|denies|denied|wrong(?:ly)?|false(?:ly)?|incorrect(?:ly)?|mistaken(?:ly)?|unlikely"
    r"|impossible|if|whether|suppose|supposing|assumes?|assuming|imagine|unless|were|had|pretend|claims|claimed|argues"
    r"|argued|believes|believed|thinks|thought|says|said|si|wenn|falls|se|если"
    r"|(?:might|may|could|(?<!\bi )(?<!\bwe )would|some|people|students?|many|others|they|someone|somebody) (?:\w+ )?"
    r"(?:claim|argue|think|say|believe|answer))\b|n['’]t\b|不是说|如果|假设|もし|만약|إذا)"
    rf"(?:(?!{_SO})[^.;:!?\n,，。]){{0,60}}$"
)
"""What stands before "the answer is ..." where that is no conclusion: a denial, a condition, somebody's claim."""
OTHER = re.compile(
    r"(?i)\b(?:wrong|incorrect|false|other|another|second|next|alternative|tempting|previous|earlier|initial|original"
    r"|first|worst|least|rejected|eliminated|opposite|my old|student['’]s|user['’]s|model['’]s|given|stated|proposed"
    r"|common|naive|expected|falsche|incorrect[ao]|fausse|mauvaise|errada|sbagliata|неправильный|неверный|خاطئة|الخاطئة"
    r"|错误|其他|잘못된)(?:\s+[a-z]{2,12})?\s*$"
    r"|\b(?:to|would|will|can|could|may|might|cannot|please|let me|must|should)\s+$"
)
"""What stands before the noun where another answer than the reply's own is meant, or where it is a verb."""
CORRECTED = re.compile(
    r"(?i)\b(?:wait|actually|no|hmm+|correction|corrected|sorry|rather|instead|oops|scratch that|i was wrong|mistake"
    r"|on (?:second thought|reflection)|final|finally|in conclusion|to conclude|therefore|thus|hence|so|then"
    r"|consequently|in summary|overall)\b[^.!?\n]{0,40}$"
)
"""What stands before a statement that takes the place of an answer marked before."""
COMMENT = re.compile(
    r"(?i)\W*(?:(?:not|also|indeed|therefore|thus|now|already|both|always|often|still|very|clearly|fully|then|only|well"
    r"|just)\s+)*(?:consistent|correct|right|wrong|incorrect|based|rounded|unique|helpful|useful|given|derived|obtained"
    r"|found|reached|calculated|computed|shown|stated|written|provided|expressed|reasonable|plausible|verified|confirmed"
    r"|checked|supported|explained|justified|clear|obvious|straightforward|simple|important|different|close|extraneous"
    r"|in\s+(?:line|agreement|accordance|the)|as\s+follows|below|above|here|that|because|since|what|how|why|this|these"
    r"|we|it|you|i|there|when|where|to|your|our|complete|done|ready|solved|final|independent|dependent|due|easy|hard"
    r"|known|unknown"
    r"|the\s+(?:same|number|one|problem|question|sum|product|total|value|result|answer)\s+(?:of|that|is|as|to|in|which"
    r"|has))\b"
)
"""How prose about an answer goes on that is no answer itself: "consistent with ...", "based on ..."."""

CORRECT = (
    r"(?:is|seems|appears|must be|would be|should be|looks)(?: to be)?(?: (?:therefore|thus|clearly|indeed|definitely"
    r"|then|also))*\s+(?:correct|right|true|best|the (?:one|best|correct|right|most|only|true|appropriate|answer)\b)"
    r"|(?:alone |only )?(?:remains|is left|fits|works)\b"
    r"|(?:es|est|ist|é|è)\s+(?:la |le |il |el |die |a )?(?:correct[aeo]?|bonne|juste|richtige?|korrekt|correta|corretta"
    r"|giusta|respuesta|réponse|antwort|resposta|risposta)"
    r"|(?:项|項|选项|選項)?\s*(?:是|为|為)?最?(?:正确|正確|对的|對的|合适)|[がは]\s*(?:正解|正しい|答え|適切)|を選"
    r"|번?(?:이|가)?\s*(?:정답|답|맞|옳|올바)|번?[을를]?\s*(?:선택|고르)|(?:—|-|является|это)?\s*(?:правильн|верн)"
    r"|(?:هي|هو)?\s*(?:الإجابة الصحيحة|الصحيح|صحيح)|सही|(?:là\s*)?(?:đáp án đúng|đúng)|şıkkı"
    r"|seçeneği|doğru"
)
"""What says of the letter before it that it is right."""
CHOOSE = (
    r"\b(?:(?:i|we)(?:['’]d|['’]ll| would| will| shall| must)?(?: (?:therefore|thus|then|also))? )?(?:pick|choose"
    r"|leans? towards?|select|selected|chosen|choosing|picking|selecting|go with|going with|go for|opt for|vote for"
    r"|settle on)\b"
    r"|\b(?:i|we)(?: would|['’]d) say\b|\b(?:richtig|korrekt) ist\b|\b(?:correcta|certa) (?:es|é)\b"
    r"|\b(?:elijo|escojo|selecciono|je choisis|ich wähle|escolho|scelgo|chọn|kies|wybieram|pilih|seçiyorum|выбираю"
    r"|верно|правильно)\b|أختار|نختار"
    r"|(?:因此|所以|故|应该?|應該?|综上|最终|于是|则|那么|我)?,?\s*(?:选择?|選擇?|選ぶ|选项是)"
)
"""What chooses the letter after it."""
THEREFORE = (
    r"\b(?:therefore|thus|hence|so|consequently|in conclusion|ergo|por lo tanto|entonces|donc|daher|portanto|quindi"
    r"|значит|итак)\b[\s,:]+(?:it(?:['’]s| is| must be| has to be)\s+)?"
    r"|\b(?:(?:that|this|which|it) leaves|leaving)\b(?: only| us with(?: only)?)?\s+"
    r"|\bit(?:['’]s| is| must be| has to be)\s+|∴\s*"
    r"|因此|所以|よって|따라서"
)
"""What a letter that ends its line is concluded with."""
EITHER = (
    r"(?:and/or|or|and|plus|as well as|along with|y|o|u|ou|et|oder|und|sowie|e|hoặc|và|veya|ve|ile|of|en|lub|i|atau|dan"
    r"|и|или|أو|و|या|और)\b|[/&,、;+]|或者?|和|及|与|と|または|及び|또는|및|과|와|나"
)
"""What joins two letters in one answer."""
