"""Out of a prompt's text its blocks again: of one that we rendered exactly those, of a person's as far as it shows them."""

from __future__ import annotations

import re
from collections.abc import Sequence

_VARIABLE = re.compile(r"\{(\w+)\}")
_CONTRACT = re.compile(
    r"\b(answer|respond|reply|output|return)\b[^.\n]*\b(with|only|one|exactly|word|letter|json|format|either|just|in)\b",
    re.I,
)
# Told to reason, and to mark the answer afterwards.
_ALOUD = re.compile(r"\b(?i:step by step|think|reason|explain|quote|(?:last|final) line)\b.*\bAnswer:", re.S)
_SENTENCE = re.compile(r"(?<=[.!?:])\s+(?=[A-Z\"'])")
_EXEMPLAR = re.compile(r"Input: (.+?)\nAnswer: (.+)", re.S)
_EXAMPLES = "Examples:"
# Ours alone: a person's "Examples:" stays a text. The number says where they end, whatever follows them looks like.
_TURNS = re.compile(r"^Examples \((\d+), as turns of the chat\):$", re.M)
_TURN = re.compile(r"\n\nInput: (.*(?:\n\|(?: .*)?)*)\nAnswer: (.*(?:\n\|(?: .*)?)*)")
# Told to mark the answer, whether or not something stands before it.
_MARKED = re.compile(r"\b(?i:form|format|line)\b[^.]*?\bAnswer:")
_RULES = "Rules:\n- "


def thinks_aloud(instructions: str) -> bool:
    """Whether ``instructions`` ask for a written chain of thought with the answer after it.

    >>> thinks_aloud("Think step by step. End with a line 'Answer: yes' or 'Answer: no'."), thinks_aloud("Q: {input} Answer:")
    (True, False)
    """
    return bool(_ALOUD.search(instructions))


def marks_answer(instructions: str) -> bool:
    """Whether ``instructions`` ask for the answer behind the mark "Answer:".

    >>> marks_answer("Reply in the form 'Answer: yes'."), marks_answer("Answer with one word.")
    (True, False)
    """
    return thinks_aloud(instructions) or bool(_MARKED.search(instructions))


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


def split_last_contract(text: str) -> tuple[str, str]:
    """The text without its last paragraph, and that paragraph, if it says how to answer."""
    before, _, last = text.rpartition("\n\n")
    return (before, last) if _CONTRACT.search(last) and not thinks_aloud(last) else (text, "")


def split_contract(text: str) -> tuple[str, str]:
    """The text without its last sentences that say how to answer, and those.

    >>> split_contract("Judge the review. Answer with one word.")
    ('Judge the review.', 'Answer with one word.')
    """
    sentences = _sentences(text)
    contract: list[str] = []
    while len(sentences) > 1 and (
        _CONTRACT.search(sentences[-1]) or (not contract and _CONTRACT.search(sentences[-2]))
    ):
        contract.insert(0, sentences.pop())
    return " ".join(sentences), " ".join(contract)


def split_role(text: str) -> tuple[str, str]:
    """A leading "You are …" sentence, unless it is all there is, and the rest."""
    sentences = _sentences(text)
    role = sentences.pop(0) if len(sentences) > 1 and re.match(r"(you are|act as)\b", sentences[0], re.I) else ""
    return role, " ".join(sentences)


def _sentences(text: str) -> list[str]:
    return [part for part in _SENTENCE.split(text) if part.strip()]


def _barred(text: str) -> str:
    first, *others = text.split("\n")
    return "\n".join([first, *(f"| {line}" if line else "|" for line in others)])


def _unbarred(text: str) -> str:
    first, *others = text.split("\n")
    return "\n".join([first, *(line[2:] for line in others)])
