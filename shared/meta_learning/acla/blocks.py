"""Out of a prompt's text its blocks again: of one that we rendered exactly those, of a person's as far as it shows them."""

from __future__ import annotations

import re
from collections.abc import Sequence

from meta_learning.acla.contracts import Unit, also_says_how, joined, names_all, says_how, units

_VARIABLE = re.compile(r"\{(\w+)\}")
# Told to reason, and to mark the answer afterwards.
_ALOUD = re.compile(r"\b(?:step by step|think|reason|explain|quote|(?:last|final) line)\b", re.I)
_EXEMPLAR = re.compile(r"Input: (.+?)\nAnswer: (.+)", re.S)
_EXAMPLES = "Examples:"
# Ours alone: a person's "Examples:" stays a text. The number says where they end, whatever follows them looks like.
_TURNS = re.compile(r"^Examples \((\d{1,4}), as turns of the chat\):$", re.M)
_TURN = re.compile(r"\n\nInput: (.*(?:\n\|(?: .*)?)*)\nAnswer: (.*(?:\n\|(?: .*)?)*)")
# Told to mark the answer, whether or not something stands before it.
_FORM = re.compile(r"\b(?:form|format|line)\b", re.I)
_MARK = re.compile(r"\bAnswer:")
_RULES = "Rules:\n- "
_ROLE = re.compile(r"(?:you are|act as)\b", re.I)
# A sentence, not a cue ("Answer:", "Your verdict").
_ENDED = re.compile(r"[.!?…][\"'”’»)]*\Z")
_WORDS = re.compile(r"\b\w+(?:\s+\S+){3}")
# A rule against a confusion, no order.
_DOUBTS = re.compile(r"\bonly if\b|\bin doubt\b", re.I)


def thinks_aloud(instructions: str) -> bool:
    """Whether ``instructions`` ask for a written chain of thought with the answer after it.

    >>> thinks_aloud("Think step by step. End with a line 'Answer: yes' or 'Answer: no'."), thinks_aloud("Q: {input} Answer:")
    (True, False)
    """
    return _marks_after(_ALOUD, instructions)


def marks_answer(instructions: str) -> bool:
    """Whether ``instructions`` ask for the answer behind the mark "Answer:".

    >>> marks_answer("Reply in the form 'Answer: yes'."), marks_answer("Answer with one word.")
    (True, False)
    """
    return thinks_aloud(instructions) or any(_marks_after(_FORM, said) for said in instructions.split("."))


def variables(text: str) -> frozenset[str]:
    """Names of the template variables in ``text``."""
    return frozenset(_VARIABLE.findall(text))


def split_frame(text: str) -> tuple[str, str]:
    """The text before the paragraph that holds a template variable, and the rest."""
    paragraphs = text.split("\n\n")
    for index, paragraph in enumerate(paragraphs):
        if _VARIABLE.search(paragraph):
            return "\n\n".join(paragraphs[:index]).strip(), "\n\n".join(paragraphs[index:])
    return text, ""


def turns(shown: Sequence[tuple[str, str]]) -> str:
    """Inputs with their answers under a header of ours; further lines of a text begin with a bar.

    >>> print(turns([("nice\\nand warm", "yes")]))
    Examples (1, as turns of the chat):
    <BLANKLINE>
    Input: nice
    | and warm
    Answer: yes
    """
    said = [f"Input: {_barred(text)}\nAnswer: {_barred(answer)}" for text, answer in shown]
    return "\n\n".join([f"Examples ({len(said)}, as turns of the chat):", *said]) if said else ""


def split_turns(text: str) -> tuple[str, list[tuple[str, str]], str]:
    """The text before the last block that `turns` made, what is in that block, and the text after it.

    >>> split_turns("Judge.\\n\\n" + turns([("nice", "yes")]) + "\\n\\nOne word.")
    ('Judge.', [('nice', 'yes')], 'One word.')
    """
    for header in reversed(list(_TURNS.finditer(text))):
        shown: list[tuple[str, str]] = []
        end = header.end()
        while len(shown) < int(header[1]) and (match := _TURN.match(text, end)):
            shown.append((_unbarred(match[1]), _unbarred(match[2])))
            end = match.end()
        after = text[end:]
        if shown and len(shown) == int(header[1]) and (after.startswith("\n\n") or not after.strip()):
            return text[: header.start()].strip(), shown, after.strip()
    return text, [], ""


def split_exemplars(text: str) -> tuple[str, list[tuple[str, str]], str]:
    """The text before the examples, their inputs and answers, and the text after them.

    >>> split_exemplars("Judge.\\n\\nExamples:\\n\\nInput: nice\\nAnswer: yes\\n\\nOne word.")
    ('Judge.', [('nice', 'yes')], 'One word.')
    """
    paragraphs = text.split("\n\n")
    if _EXAMPLES not in paragraphs:
        return text, [], ""
    start = paragraphs.index(_EXAMPLES)
    shown: list[tuple[str, str]] = []
    for paragraph in paragraphs[start + 1 :]:
        if not (match := _EXEMPLAR.fullmatch(paragraph)):
            break
        shown.append((match[1], match[2]))
    after = paragraphs[start + 1 + len(shown) :]
    return ("\n\n".join(paragraphs[:start]), shown, "\n\n".join(after)) if shown else (text, [], "")


def split_rules(text: str) -> tuple[str, tuple[str, ...], str]:
    """The text before the rules, the rules, and the text after them.

    >>> split_rules("Judge.\\n\\nRules:\\n- Be fair.\\n- Mind irony.\\n\\nTake your time.")
    ('Judge.', ('Be fair.', 'Mind irony.'), 'Take your time.')
    """
    paragraphs = text.split("\n\n")
    for index, paragraph in enumerate(paragraphs):
        lines = paragraph.split("\n")[1:]
        if paragraph.startswith(_RULES) and all(line.startswith("- ") for line in lines):
            rules = tuple(line.removeprefix("- ") for line in lines)
            return "\n\n".join(paragraphs[:index]), rules, "\n\n".join(paragraphs[index + 1 :])
    return text, (), ""


def split_reasoning(text: str) -> tuple[str, str]:
    """The text without the paragraph, other than the first, that asks for reasoning aloud, and that paragraph."""
    first, *others = text.split("\n\n")
    aloud = next((paragraph for paragraph in others if thinks_aloud(paragraph)), "")
    return "\n\n".join([first, *(one for one in others if one != aloud)]), aloud


def split_last_contract(text: str, labels: Sequence[str] = ()) -> tuple[str, str]:
    """The text without its last paragraphs that say how to answer, and those.

    >>> split_last_contract("Take your time.\\n\\nAnswer with one word.")
    ('Take your time.', 'Answer with one word.')
    """
    paragraphs = text.split("\n\n")
    start = len(paragraphs)
    while start and _is_contract(paragraphs[start - 1], labels):
        start -= 1
    return "\n\n".join(paragraphs[:start]), "\n\n".join(paragraphs[start:])


def split_ruled_contract(rules: Sequence[str]) -> tuple[tuple[str, ...], str]:
    """The rules that do not say how to answer, and those that do.

    >>> split_ruled_contract(["Be fair.", "Answer yes or no."]), split_ruled_contract(["Answer yes only if it is clear."])[1]
    ((('Be fair.',), 'Answer yes or no.'), '')
    """
    is_order = {rule: says_how(rule) and not _DOUBTS.search(rule) for rule in rules}
    return tuple(rule for rule in rules if not is_order[rule]), "\n".join(rule for rule in rules if is_order[rule])


def tells_how(text: str, labels: Sequence[str] = ()) -> bool:
    """Whether a paragraph of a text says how to answer.

    >>> tells_how("Take your time.\\n\\nAnswer with one word."), tells_how("Now judge this one.")
    (True, False)
    """
    return any(_is_contract(paragraph, labels) for paragraph in text.split("\n\n"))


def split_role(text: str) -> tuple[str, str]:
    """A leading "You are …" sentence, unless it is all there is, and the rest."""
    first, *others = units(text) or [Unit("", "")]
    return (first.text.strip(), joined(others)) if others and _ROLE.match(first.text) else ("", text.strip())


def outline(text: str) -> tuple[str, list[tuple[str, str]], str, str]:
    """The instructions, the examples shown, the text after these, and the frame: all from the first variable's paragraph on."""
    body, shown, after = split_turns(text)
    if not shown:
        body, shown, after = split_exemplars(text.strip())
        if variables(body):
            body, shown = text.strip(), []
    if shown:
        after, frame = split_frame(after)
        return body, shown, after, frame
    body, frame = split_frame(body)
    return body, [], "", frame


def split_input(frame: str) -> tuple[str, str]:
    """The instructions in a frame, around the lines of its variables, and the frame without them; a cue at its end stays.

    >>> split_input("Tweet: {text}\\n\\nIs it happy? Answer yes or no.\\nVerdict:")
    ('Is it happy? Answer yes or no.', 'Tweet: {text}\\nVerdict:')
    """
    lines = frame.split("\n")
    held = [number for number, line in enumerate(lines) if _VARIABLE.search(line)]
    after = units("\n".join(lines[held[-1] + 1 :]))
    start, end = held[0], len(after)
    while start and not _is_told(lines[start - 1]):
        start -= 1
    while end and not _is_said(after[end - 1].text):
        end -= 1
    moved = [part for part in ("\n".join(lines[:start]).strip(), joined(after[:end])) if part]
    if not end:
        return "\n\n".join(moved), "\n".join(lines[start:]).lstrip("\n")
    cue = joined(after[end:])
    gap = "\n\n" if cue and "\n\n" in after[end].gap else "\n"
    place = "\n".join(lines[start : held[-1] + 1]).lstrip("\n")
    return "\n\n".join(moved), f"{place}{gap}{cue}".rstrip("\n")


def without(text: str, part: str) -> str:
    """The text without the last place of a part of it; a rule goes with its mark, the last one with the heading.

    >>> without("Judge. Be brief. Go.", "Be brief."), without("Judge.\\n\\nRules:\\n- Be brief.\\n\\nGo.", "Be brief.")
    ('Judge. Go.', 'Judge.\\n\\nGo.')
    """
    before, _, behind = text.rpartition(part)
    if before.endswith("\n- ") and (not behind or behind.startswith("\n")):
        before = before.removesuffix("\n- ")
        before = before if behind.startswith("\n- ") else before.removesuffix("Rules:")
    before, behind = before.rstrip(" "), behind.lstrip(" ")
    gap = " " if before[-1:].strip() and behind[:1].strip() else ""
    return re.sub(r"\n{3,}", "\n\n", before + gap + behind).strip()


def is_only_role(text: str) -> bool:
    """Whether a text says who the model is, and nothing else, or nothing at all."""
    said = units(text)
    return not said or (len(said) == 1 and bool(_ROLE.match(text)))


def _marks_after(word: re.Pattern[str], text: str) -> bool:
    """Whether "Answer:" stands behind such a word."""
    first = word.search(text)
    return bool(first and _MARK.search(text, first.end()))


def _is_told(line: str) -> bool:
    """Whether it ends like a sentence, or has four words."""
    return bool(_ENDED.search(line.rstrip()) or _WORDS.search(line))


def _is_said(text: str) -> bool:
    """Whether it ends like a sentence, or has four words and no mark at its end that makes a cue of them."""
    return _is_told(text) and not text.rstrip().endswith((":", "=", ">"))


def _is_contract(paragraph: str, labels: Sequence[str]) -> bool:
    if thinks_aloud(paragraph) or not paragraph.strip():
        return False
    said = [unit.text for unit in units(paragraph)]
    return names_all(paragraph, labels) or any(says_how(one) or also_says_how(one) for one in said)


def _barred(text: str) -> str:
    first, *others = text.split("\n")
    return "\n".join([first, *(f"| {line}" if line else "|" for line in others)])


def _unbarred(text: str) -> str:
    first, *others = text.split("\n")
    return "\n".join([first, *(line[2:] for line in others)])
