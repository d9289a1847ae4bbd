"""Which sentences of a person's prompt say how to answer: a guess, by usual phrasings and by the labels where they are known.

English, German, French, Spanish, Italian and Portuguese. The guess is shown before anything is spent, and a contract that is
named wins over it. A sentence that opens with such an order ("Answer with yes or no.") is the contract wherever it stands; one that
also says what to judge ("Read it and answer yes or no.") is, as long as another sentence is left to be evolved.

Every proposal is read so. Whatever a text looks like, that takes time in proportion to its length: what repeats in an expression
that is tried at every place has a limit, and no two repeats beside each other match the same characters.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache

_LABELLED_CHARS_MAX = 300  # a longer one is a text about the labels, no order
_BREAK = re.compile(
    r"""(?<![ \t])[ \t]*\n\s*\n\s*  # a paragraph
    | \n(?=[ \t]*(?:["'“„«(¿¡*\#]*[A-ZÀ-ÖØ-Þ]|[-*•]\s|(?:\d+|[a-z]|[ivx]{2,4})[.)]\s))  # a line of its own, or an item of a list
    | (?:(?<=[.!?…])|(?<=[.!?…]["'”’»)]))\s+(?=["'“„«(¿¡*]*[A-ZÀ-ÖØ-Þ])
    | (?<=[.!?…])[ \t]+(?=\d{1,2}[.)]\s+["'“„«(¿¡*]*[A-ZÀ-ÖØ-Þ])  # an item of a list that goes on in its line
    | (?<=[?!])\s+(?=[("']?[^\W\d_])
    | (?<=\.)\s+(?=(?:answer|reply|respond|output|return|only|just)\b)""",
    re.X,
)
_NUMBER = r"(?:(?:step|schritt|étape|paso|passo)\s+)?(?:\d{1,3}|[A-Za-z]|[ivx]{2,4})"
_BULLET = re.compile(rf"\s*(?:[-*•#]+|{_NUMBER}[.)])?\s*\**", re.I)
_NUMBER_ALONE = re.compile(rf"\s*{_NUMBER}\.", re.I)
_OR = r"(?:or|oder|ou|oppure|o|u)"
_FAR = ".{0,400}"  # as far from an order as its form may stand
_WORD = r"""["'“„«‘*`]{0,4}[\w+-]++["'”“»’*`]{0,4}"""
_LIST = rf"{_WORD}(?:\s*[,/]\s*{_WORD}){{0,60}}"
_CHOICE = rf"{_LIST}(?:\s*/\s*{_WORD}|(?:\s*,)?\s+{_OR}\s+{_WORD})"
_PLEASE = (
    r"(?:(?:please|then|now|finally|always|only|just|bitte|dann|immer|por\ favor|per\ favore|s['’]il\ (?:te|vous)\ pla[iî]t)"
    r"[,\s]+){0,6}"
)
_AND = r"(?:[,;:–—]\s+|\b(?:and|then|please|must|should|shall|only|just|und|dann|bitte|et|puis|y|luego|e|poi|depois|então)\s+)"
_NOUN = r"(?:word|letter|Wort|Buchstaben?|mot|lettre|palabra|letra|parola|lettera|palavra)"
_ONE = (
    rf"(?:in\s+|with\s+)?(?:(?:one|an?|a\ single|two|three|\d+|ein(?:em|en)?|une?|una?|um|uma|uno)\s+(?:\w+\s+)?{_NOUN}s?"
    r"|(?:one|a\ single)\s+(?:number|digit|label|token|character|name))\b"
)
_ANSWER = (
    r"(?:answer|respond|reply|output|return"
    r"|(?:be)?antwort(?:e|en|et)|erwidere"
    r"|réponds|répondez|répondre|renvoie|renvoyez|retourne|retournez"
    r"|responde|responda|respondan|responder|contesta|conteste|devuelve|devuelva"
    r"|rispondi|rispondete|risponda|rispondere|restituisci|restituisca"
    r"|responda|responde|devolva|retorne)\b"
)
_SAY = (
    r"(?:say|write|give|print|choose|pick|select|state|tell|put|emit|produce|provide"
    r"|gib|geben|schreibe?n?|sage?n?|nenne?n?"
    r"|donne|donnez|écris|écrivez|dis|dites|indique|indiquez"
    r"|escribe|escriba|di|diga|da|dé|indica|indique"
    r"|scrivi|scriva|dai|escreva|diga|dê|forneça)\b"
)
_ONLY = (
    r"(?:only(?!\s+(?:if|when))|just|exactly|nothing\ but|nur|ausschließlich|lediglich|genau|seulement|uniquement|exactement|rien\ que"
    r"|s[oó]lo|solamente|[uú]nicamente|exactamente|soltanto|esattamente|apenas|somente|só|exatamente)\b"
)
_MOST = r"(?:at\s+most|no\s+more\s+than|höchstens|au\s+plus|como\s+máximo|al\s+massimo|no\s+máximo)\b"
_CODE = r"(?:json|xml|yaml|csv|format|formato)\b"
_FORM = rf"(?:{_CODE}|(?:{_NOUN}|number|digit|label|token|name)s?\b)"
_CASES = (
    rf"{_WORD}\s+(?:only\s+)?(?:if|for|when|wenn|falls|bei|für|si|se|pour|para|per)\s{_FAR}.(?:"
    r"otherwise|else|if\ not|sonst|sinon|contrario|altrimenti|[,;]|\band|\bund|\bet|\by|\be)\b."
)
# What is answered stands between the order and its form: "Answer the question with one word."
_OBJECT = (
    r"\s+(?:(?:to|auf|à|a|al|alla|às?|ao)\s+)?(?:(?:the|this|these|each|every|all|it|die|diese|das|la|cette|chaque|esta|questa|cada)\s+)?"
    r"(?:question|problem|riddle|query|customer|user|message|review|e?mail|tweet|comment|text|it|each|this|frage|pregunta|domanda|pergunta)s?\b"
)
_HOW = rf"""(?:
    {_ANSWER}(?:\s+Sie)?(?:\s+(?:me|bitte|always|either|briefly))?(?:
        \s+(?:with|by|in|as|using|either|mit|par|avec|con|com|em|als|en|like)\b
      | {_FAR}\b(?:(?:with|either)\b|{_ONLY}|{_MOST}|{_CODE}|{_ONE}) | \s+it\s+as\b
      | (?:\s+(?:with|by))?\s+(?!the\b|this\b|all\b|each\b|an?\b)[(\[]?{_CHOICE} | \s+{_CASES} | \s*[:/]\s*{_CHOICE} )
  | {_SAY}(?:\s+Sie)?(?:\s+(?:me|back|down|out|an|aus|zurück|(?:your|the|deine|die|ta|la|tu|sua|a)\s+(?:final\s+)?\w+))?(?:
        \s+(?:as\s+|mit\s+|con\s+|com\s+|par\s+|avec\s+|en\s+)?(?:{_ONLY}|{_MOST}|{_ONE}|(?:valid\s+)?json\b|one\s+of\b|eine?[sr]?\s+von\b|une?\s+des?\b|una?\s+d[ei]\b|um\s+de\b)
      | \s+(?!whether|if\b|what|which|how|why|who|the\b|an?\b|ob\b|si\b|se\b|your\b){_CHOICE}(?!\w)
      | \s+(?!whether|if\b|what|which|how|the\b|an?\b|ob\b){_CASES} )
)"""
_OPENS = re.compile(rf"{_PLEASE}{_HOW}", re.I | re.X | re.S)
_MIXED = re.compile(
    rf"(?:{_AND}{_PLEASE}{_HOW})|^{_PLEASE}{_ANSWER}{_OBJECT}{_FAR}\b(?:{_ONLY}|{_FORM}|{_ONE}|(?:with|mit|con|com|par)\s+{_CHOICE})",
    re.I | re.X | re.S,
)
_TITLE = re.compile(r"#+ [^\n]*")
_COLON_CHARS_MAX = 40  # so far before a gap a colon is looked for, behind the stars and blanks that may follow it
_INK = re.compile(r"\S")
_ANSWERING_IT = re.compile(rf"{_PLEASE}{_ANSWER}{_OBJECT}(?!\s+as\b)", re.I | re.X)
_HEADING = re.compile(
    r"""(?:(?:the\s+)?(?:required\s+|expected\s+)?(?:output|answer|response|reply|return)[\s-]format|format|ausgabeformat|antwortformat
      |format\s+(?:der|de|of|for)\s+.{0,20}|formato(?:\s+\w+){0,3})\**\s*(?::|\bis\b|\bist\b|$|\n)
    |(?:use|follow)\s+(?:the\s+|this\s+|exactly\s+)*(?:following\s+)?(?:\w+\s+)?format\b
    |format\s+(?:your|the)\s+(?:answer|output|response|reply)""",
    re.I | re.X,
)
_STATED = re.compile(
    rf"""(?:the|your|die|deine|ihre|la|ta|votre|tu|su|tua|sua|a|a\s+sua|la\s+tua|la\s+sua)\s+(?:final\s+|only\s+)?
      (?:answer|response|reply|output|antwort|ausgabe|réponse|respuesta|risposta|resposta)\s+
      (?:must|should|has\s+to|needs\s+to|shall|can\s+only|may\s+only|will|muss|soll|sollte|darf|doit|devrait|debe|deve|tiene|tem)\b
    |(?:possible|allowed|valid|permitted|mögliche|erlaubte|réponses|respuestas|risposte|respostas)\s+
      (?:answers?|labels?|outputs?|responses?|values?|antworten|possibles|posibles|possibili|possíveis)\b
    |(?:labels|answers|classes|categories|antworten|kategorien|étiquettes|etiquetas)\s*:\s*\S
    |(?:answer|output|response|antwort|ausgabe|réponse|respuesta|risposta|resposta)\s*:\s*(?:{_CHOICE}|{_ONE}|{_ONLY})
    |(?:end|finish|conclude|begin|start)\b.*\b(?:answer|line|reply|response)\b
    |(?:put|give|write)\b.*\b(?:last|final|one)\s+line\b
    |{_PLEASE}(?:do\s+not|don['’]t|never|no(?!\s+one)|without|keine?|ohne|erkläre|ne|n['’]|pas\s+d|sans|sin|non|nessun[ao]|senza|não|sem|nenhum[ao]?)
      \s*.{{0,40}}(?:expla|justif|punctuation|other\s+(?:words?|text)|anything\s+else|commentary|preamble|markdown
        |nichts|erklär|explic|explique|expliqu|spieg)
    |(?:nothing\s+else|nichts\s+(?:weiter|sonst|anderes)|rien\s+d['’]autre|nada\s+m[aá]is|nient['’]altro)\b
    |{_ONLY}\s+(?!consider|use\b|look|judge|count|if\b|when\b|those|in\b|for\b)(?:[^.]{{0,30}}\b{_FORM}|{_CHOICE}|{_ONE}\s*(?:[.:!,(]|$))
    |use\s+{_ONLY}\s+(?:.{{0,25}}\b(?:{_CODE}|labels?\b|letters?\b|categories\b)|{_CHOICE})
    |(?:put|give|return|state|write)\s+(?:your|the)\s+(?:final\s+)?(?:answer|result|label|output|response|reply|number|date|name)s?\s+(?:as|in)\b
    |(?:exactly\s+)?{_ONE}(?:\s*only)?\s*(?:[.:!(]|$)""",
    re.I | re.X | re.S,
)
# "Yes or no." after a question; it may be the question itself.
_BARE = re.compile(
    rf"\W{{0,9}}(?:{_WORD}(?:\s*,\s*{_WORD})*(?:\s*,)?\s+(?:or|oder|oppure|ou)\s+{_WORD}|{_WORD}(?:/{_WORD})+|s[íiì]m?\s+(?:o|u|ou)\s+n[oã]o?)\W*",
    re.I,
)
_JUDGES = re.compile(
    r"\b(?:whether|(?:say|tell)\s+if|(?:dis|di|diga|dica)\s+s[ie]|ob|classif\w*|categori[sz]e|label|judge|decide|determin\w*|assess|rate|identify|detect|klassifizier\w*|bestimme|entscheide"
    r"|beurteile|bewerte|classez?|détermine[zr]?|décide[zr]?|juge[zr]?|clasifi\w*|stabilisci|decid[ae])\b",
    re.I,
)


@dataclass(frozen=True, slots=True)
class Unit:
    """A sentence, an item of a list or a headed list, and what stood between it and the one before."""

    gap: str
    text: str


def units(text: str) -> list[Unit]:
    """The sentences of a text; a list that a colon announces belongs to the sentence that says how to answer.

    >>> [unit.text for unit in units("Judge it. Answer with one of:\\n- good\\n- bad\\n\\nMind irony.")]
    ['Judge it.', 'Answer with one of:\\n- good\\n- bad', 'Mind irony.']
    """
    found: list[Unit] = []
    start, gap, goes_on = 0, "", _going_on(text, 0)
    for match in _BREAK.finditer(text):
        if not _INK.search(text, start, match.start()) or goes_on(match.start(), match[0]):
            continue
        found.append(Unit(gap, text[start : match.start()]))
        start, gap = match.end(), match[0]
        goes_on = _going_on(text, start)
    if text[start:].strip():
        found.append(Unit(gap, text[start:]))
    return found


def joined(parts: Sequence[Unit]) -> str:
    """Their text, with what stood before each of them but the first."""
    return "".join(unit.gap + unit.text if number else unit.text for number, unit in enumerate(parts)).strip()


def says_how(sentence: str) -> bool:
    """Whether a sentence says how to answer, and nothing else.

    >>> says_how("Only yes or no."), says_how("Judge whether the answer is correct.")
    (True, False)
    """
    said = sentence[_BULLET.match(sentence).end() :]  # type: ignore[union-attr]  # it matches everywhere
    if _ANSWERING_IT.match(said):
        return False
    return bool(_OPENS.match(said) or _HEADING.match(said) or _STATED.match(said))


def also_says_how(sentence: str) -> bool:
    """Whether a sentence that says something else, as well it may, orders an answer in a form, too.

    >>> also_says_how("Read the tweet and answer with yes or no."), also_says_how("Compare the question and the answer.")
    (True, False)
    """
    return bool(_MIXED.search(sentence) or _BARE.fullmatch(sentence))


def names_all(sentence: str, labels: Sequence[str]) -> bool:
    """Whether every one of two labels or more is in the sentence as whole words; single letters in their case.

    >>> names_all("Good, or bad?", ("bad", "good")), names_all("Not badly good", ("bad", "good")), names_all("Good", ("good",))
    (True, False, False)
    """
    return len(labels) > 1 and all(
        re.search(rf"(?<!\w){re.escape(label)}(?!\w)", sentence, 0 if len(label) == 1 else re.I) for label in labels
    )


def split_contract(text: str, labels: Sequence[str] = ()) -> tuple[str, str]:
    """The text without the sentences that say how to answer, and those.

    >>> split_contract("Judge the review. Answer with one word.")
    ('Judge the review.', 'Answer with one word.')
    >>> split_contract("Is it so? Think of irony. True, false: one of them.", ("false", "true"))
    ('Is it so? Think of irony.', 'True, false: one of them.')
    """
    said = units(text)
    pure = {number for number, unit in enumerate(said) if says_how(unit.text)} | _headed(said)
    mixed = [number for number, unit in enumerate(said) if number not in pure and also_says_how(unit.text)]
    kept = pure | set(mixed)
    if len(kept) == len(said) and mixed:
        kept.discard(mixed[0])
    found = _labelled(said, kept, labels)
    if len(kept | found) < len(said):
        kept |= found
    return joined([one for number, one in enumerate(said) if number not in kept]), joined(
        [one for number, one in enumerate(said) if number in kept]
    )


def _labelled(said: Sequence[Unit], kept: set[int], labels: Sequence[str]) -> set[int]:
    """Sentences that name all labels, where those that say how to answer do not; no question, and none that says what to judge."""
    if names_all(joined([said[number] for number in sorted(kept)]), labels):
        return set()
    return {
        number
        for number, unit in enumerate(said)
        if number not in kept
        and len(unit.text) <= _LABELLED_CHARS_MAX
        and not unit.text.rstrip().endswith("?")
        and names_all(unit.text, labels)
        and not (kept and _JUDGES.search(unit.text))
    }


def _headed(said: Sequence[Unit]) -> set[int]:
    """What follows a heading ("Output format: …") in its paragraph."""
    found: set[int] = set()
    is_headed = False
    for number, unit in enumerate(said):
        if "\n\n" in unit.gap or number == 0:
            is_headed = bool(_HEADING.match(unit.text, _BULLET.match(unit.text).end()))  # type: ignore[union-attr]
        if is_headed:
            found.add(number)
    return found


def _going_on(text: str, start: int) -> Callable[[int, str], bool]:
    """Whether the sentence from ``start`` is not at its end at some place before a gap; its beginning is looked at once."""
    heading = _TITLE.match(text, start)
    number = _NUMBER_ALONE.match(text, start)
    colon = -1

    @cache
    def is_order(colon: int) -> bool:
        head = text[start:colon]
        return says_how(head + ":") or also_says_how(head)

    def goes_on(end: int, gap: str) -> bool:
        nonlocal colon
        if (number and number.end() == end) or (heading and end <= heading.end()):
            return True
        if text[max(start, end - _COLON_CHARS_MAX) : end].rstrip().rstrip("*").endswith(":"):
            return True
        if gap.count("\n") != 1 or gap.strip(" \t") != "\n":
            return False
        colon = colon if colon >= 0 else text.find(":\n", start, end)
        return colon >= 0 and is_order(colon)

    return goes_on
