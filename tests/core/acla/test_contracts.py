"""What of a person's prompt says how to answer, in the phrasings that people use: it is never evolved away."""

from __future__ import annotations

import pytest

from meta_learning.acla import AdaptiveCurriculumAgent, Prompt
from meta_learning.acla.contracts import split_contract
from meta_learning.acla.prompt import Exemplar
from meta_learning.errors import ConfigurationError
from meta_learning.llm import Request
from meta_learning.llm.scripted import ScriptedLLM
from tests.core.acla.simulated import config, expected_of, samples

# The prompt's task, then its contract.
PHRASINGS = [
    ("Judge the review.", "Answer with one word: good or bad."),
    ("Judge the review.", "Answer only yes or no."),
    ("Is this tweet happy?", "Only yes or no."),
    ("Is this tweet happy?", "Just one word."),
    ("Is this tweet happy?", "Yes or no."),
    ("Classify the tweet.", "Say yes if it is happy, no otherwise."),
    ("Judge whether the answer is correct.", "Reply yes or no."),
    ("Judge whether the answer is correct.", "Please respond with 'right' or 'wrong'. Do not explain."),
    ("Compare the answer with the reference. Mind the numbers.", "Output 1 or 0. Nothing else."),
    ("Return the capital of the country in question.", "Your answer must be a single word."),
    ("Say whether the number is high or low.", "Answer with one word."),
    ("Write a summary of the text or the talk.", "Return JSON with the key summary."),
    ("Answer the question.", "Reply with only the letter of the right choice: A, B, C, D or E."),
    ("Choose the best answer to the question.", "Answer with the letter of the choice only."),
    ("Judge the number. Think step by step.", "End with a line 'Answer: high' or 'Answer: low'."),
    ("Judge the tweet.", "Answer with one of:\n- good\n- bad"),
    ("Judge the tweet.", "Possible answers: good, bad, neutral."),
    ("is the tweet happy?", "answer only yes or no"),
    ("Is the tweet happy", "\nAnswer yes/no"),
    ("Classify the mail.", "Write only the label."),
    ("Classify the mail.", "Choose one of: spam, ham."),
    ("Solve the problem.", "Give the final answer as a number only."),
    ("Extract the date.", "Return it as YYYY-MM-DD."),
    ("Is it spam?", "(yes/no)"),
    ("Sum it up.", "Write at most two sentences."),
    ("Entscheide, ob es Spam ist.", "Gib 1 für Spam und 0 für anderes aus."),
    ("Write a reply to the customer. Keep it polite.", "Return JSON."),
    ("Ist der Text positiv?", "Antworte mit einem Wort: ja oder nein."),
    ("Ist der Text positiv?", "Gib nur ja oder nein aus."),
    ("Gib an, ob der Text positiv oder negativ ist.", "Antworten Sie nur mit ja oder nein."),
    ("Beurteile die Antwort. Achte auf Ironie.", "Nur ja oder nein."),
    ("Le texte est-il positif ?", "Réponds uniquement par oui ou non."),
    ("Évalue le texte.", "Répondez seulement par un mot. Sans explication."),
    ("Dis si le texte est positif ou négatif.", "Réponds oui ou non."),
    ("¿Es positivo el texto?", "Responde solo sí o no."),
    ("Lee la pregunta.", "Responda con una palabra."),
    ("Il testo è positivo?", "Rispondi solo sì o no."),
    ("Giudica il testo.", "Rispondi con una parola: sì o no."),
    ("O texto é positivo?", "Responda apenas sim ou não."),
    ("Avalie o texto.", "Escreva apenas uma palavra."),
]


@pytest.mark.parametrize(("task", "contract"), PHRASINGS)
def test_usual_phrasings_are_told_from_the_task(task: str, contract: str) -> None:
    gap = "" if contract.startswith("\n") else " "
    prompt = Prompt.parse(task + gap + contract)
    assert (prompt.task, prompt.contract) == (task, contract.strip())


@pytest.mark.parametrize(("task", "contract"), PHRASINGS)
def test_they_are_told_in_paragraphs_of_their_own_and_read_back_from_an_edited_prompt(task: str, contract: str) -> None:
    prompt = Prompt.parse(f"You are a critic.\n\n{task}\n\n{contract.strip()}")
    assert (prompt.role, prompt.task, prompt.contract) == ("You are a critic.", task, contract.strip())
    for edit in ({}, {"rules": ("Mind irony.",)}):
        edited = prompt.edit(**edit)
        assert Prompt.parse(edited.render()).edit() == edited


@pytest.mark.parametrize(
    ("text", "task", "contract"),
    [
        ("Answer with yes or no. Is the tweet happy?", "Is the tweet happy?", "Answer with yes or no."),
        ("i. Read it.\nii. Say yes or no.\niii. Be kind.", "i. Read it.\niii. Be kind.", "ii. Say yes or no."),
        (
            "Respond in JSON with one key. Think of irony. Be brief.",
            "Think of irony. Be brief.",
            "Respond in JSON with one key.",
        ),
        (
            'Judge.\n\nOutput format: JSON {"label": "good"}.\n\nBe careful.',
            "Judge.\n\nBe careful.",
            'Output format: JSON {"label": "good"}.',
        ),
        (
            "Judge.\n\n## Output format\nOne word. Lower case.\n\nBe careful.",
            "Judge.\n\nBe careful.",
            "## Output format\nOne word. Lower case.",
        ),
        ("Answer yes or no. Is it happy? No explanation.", "Is it happy?", "Answer yes or no. No explanation."),
        (
            "Steps:\n- Read the tweet.\n- Answer with yes or no.",
            "Steps:\n- Read the tweet.",
            "- Answer with yes or no.",
        ),
        (
            "Read the tweet and answer only good or bad. Mind irony.",
            "Mind irony.",
            "Read the tweet and answer only good or bad.",
        ),
        # One sentence that says both can only be kept or evolved as a whole.
        ("Read the tweet and answer good or bad.", "Read the tweet and answer good or bad.", ""),
        ("Answer the question with one word.", "Answer the question with one word.", ""),
        ("High, or low? Answer with one word.", "High, or low?", "Answer with one word."),
        ("Good or bad", "Good or bad", ""),
        # There is nothing else.
        ("Answer with yes or no.", "", "Answer with yes or no."),
        # No contract.
        (
            "Judge whether the answer is in line with the facts.",
            "Judge whether the answer is in line with the facts.",
            "",
        ),
        ("Answer the question. Think of what is usual.", "Answer the question. Think of what is usual.", ""),
        ("Say what you think. Use facts.", "Say what you think. Use facts.", ""),
        ("Beantworte die Frage. Denke nach.", "Beantworte die Frage. Denke nach.", ""),
        ("Only consider the last sentence. Is it happy?", "Only consider the last sentence. Is it happy?", ""),
        (
            "Give reasons for the verdict. Write a poem or a story.",
            "Give reasons for the verdict. Write a poem or a story.",
            "",
        ),
        (
            "Return the name of the city in the text. Mind typos.",
            "Return the name of the city in the text. Mind typos.",
            "",
        ),
        ("Decide whether the output is correct. Compare the question and the answer.",) * 2 + ("",),
    ],
)
def test_where_it_stands_and_what_is_none(text: str, task: str, contract: str) -> None:
    prompt = Prompt.parse(text)
    assert (prompt.task, prompt.contract) == (task, contract)
    assert prompt.render() == text


@pytest.mark.parametrize(
    ("text", "task", "contract", "frame"),
    [
        (
            "Tweet: {text}\n\nIs it happy? Answer only yes or no.",
            "Is it happy?",
            "Answer only yes or no.",
            "Tweet: {text}",
        ),
        ("Tweet: {input}\nIs it happy?\n\nAnswer:", "Is it happy?", "", "Tweet: {input}\n\nAnswer:"),
        (
            "Judge it. Answer yes or no.\nTweet: {input}\nVerdict:",
            "Judge it.",
            "Answer yes or no.",
            "Tweet: {input}\nVerdict:",
        ),
        ("Classify the following tweet:\nText:\n{input}", "Classify the following tweet:", "", "Text:\n{input}"),
        ("You are a critic.\n\n{input}\n\nIs it good? Only yes or no.", "Is it good?", "Only yes or no.", "{input}"),
        ("Judge it.\n\n{input}\n\nMind irony.", "Judge it.", "", "{input}\n\nMind irony."),
        ("Input: {input}\nAnswer:", "", "", "Input: {input}\nAnswer:"),
        ("Text:\n{input}\nThe mood of the text is:", "", "", "Text:\n{input}\nThe mood of the text is:"),
    ],
)
def test_instructions_around_the_variables_can_be_evolved_and_the_variables_cannot(
    text: str, task: str, contract: str, frame: str
) -> None:
    prompt = Prompt.parse(text)
    assert (prompt.task, prompt.contract, prompt.frame) == (task, contract, frame)
    assert prompt.render() == text
    # What is sent for a prompt that nobody edited stays as it was: the input in its place, or in a turn of its own.
    assert "\n\n".join(one.text for one in prompt.messages("{input}")) in (text, f"{text}\n\n{{input}}")
    edited = prompt.edit(rules=("Mind it.",))
    assert Prompt.parse(edited.render()).edit() == edited


@pytest.mark.parametrize(
    ("text", "task", "contract"),
    [
        (
            "1. Judge the tone.\n2. Answer with yes or no.\n3. Mind irony.",
            "1. Judge the tone.\n3. Mind irony.",
            "2. Answer with yes or no.",
        ),
        (
            "Classify:\n1. Read it.\n2. Answer with one of:\n   - good\n   - bad\n\n3. Mind irony.",
            "Classify:\n1. Read it.\n\n3. Mind irony.",
            "2. Answer with one of:\n   - good\n   - bad",
        ),
        (
            "1. Judge the tone. 2. Answer with yes or no. 3. Mind irony.",
            "1. Judge the tone. 3. Mind irony.",
            "2. Answer with yes or no.",
        ),
        (
            "A. Judge the tone.\nB. Answer with yes or no.\nC. Mind irony.",
            "A. Judge the tone.\nC. Mind irony.",
            "B. Answer with yes or no.",
        ),
        ("a) Judge the tone.\nb) Answer with yes or no.", "a) Judge the tone.", "b) Answer with yes or no."),
        (
            "Step 1. Judge the tone.\nStep 2. Answer with yes or no.",
            "Step 1. Judge the tone.",
            "Step 2. Answer with yes or no.",
        ),
        ("Judge the tone. Answer with 0 or 1. Mind irony.", "Judge the tone. Mind irony.", "Answer with 0 or 1."),
    ],
)
def test_an_item_of_a_numbered_list_takes_its_number_with_it(text: str, task: str, contract: str) -> None:
    prompt = Prompt.parse(text)
    assert (prompt.task, prompt.contract) == (task, contract)
    assert prompt.render() == text
    edited = prompt.edit(rules=("Be fair.",))
    assert Prompt.parse(edited.render()).edit() == edited


@pytest.mark.parametrize(
    ("before", "after", "kept"),
    [
        (
            "Judge it. Answer with good or bad.",
            "Now judge this one.",
            "Answer with good or bad.\n\nNow judge this one.",
        ),
        (
            "Judge it.\n\nRules:\n- Be fair.\n\nAnswer with good or bad.",
            "Now judge this one.",
            "Answer with good or bad.\n\nNow judge this one.",
        ),
        (
            "Judge it.\n\nRules:\n- Be fair.\n- Answer with good or bad.",
            "Now judge this one.",
            "Answer with good or bad.\n\nNow judge this one.",
        ),
        ("Judge it.\n\nRules:\n- Be fair.\n\nAnswer with good or bad.", "", "Answer with good or bad."),
        # What follows says how to answer: nothing else is taken for it.
        ("Judge it. Only good or bad.", "Answer with one word.", "Answer with one word."),
    ],
)
def test_a_sentence_after_a_persons_examples_does_not_hide_the_order_before_them(
    before: str, after: str, kept: str
) -> None:
    prompt = Prompt.parse(f"{before}\n\nExamples:\n\nInput: nice\nAnswer: good\n\n{after}".rstrip())
    assert prompt.contract == kept
    edited = prompt.edit(task="Say what it is.", rules=("Mind irony.",), reasoning="")
    assert Prompt.parse(edited.render()).edit() == edited
    assert "".join(one.text for one in edited.messages("dull")).count(kept) == 1


def test_what_an_author_writes_before_turns_of_ours_is_no_contract() -> None:
    prompt = Prompt.parse("Judge it. Now tell us.\n\nText: {input}", contract="Now tell us.")
    child = prompt.edit(task="Judge it. Only good or bad.", exemplars=(Exemplar("nice", "good"),))
    again = Prompt.parse(child.render())
    assert (again.task, again.contract) == ("Judge it. Only good or bad.", "Now tell us.")


# Where two repeats match the same characters, or one starts anew at every place, such a text takes minutes.
@pytest.mark.timeout(60)
@pytest.mark.parametrize(
    ("head", "odd", "tail"),
    [
        ("", "then ", "x"),
        ("", "please, ", ""),
        ("", "\"'", "x"),
        ("", "*", "x"),
        ("", "and answer ", ""),
        ("", ", answer/answer", "x"),
        ("Answer", " ", "x"),
        ("One word", " ", "x"),
        ("Yes", " ", "x"),
        ("Yes or no", "+", "x"),
        ("Judge.\n\n", "think ", ""),
        ("{input}\n", "a", ""),
        ("{input}\n", "a ", ":"),
        ("Read it, then " * 2000 + ":\n", "- a\n", ""),
    ],
)
def test_a_large_odd_text_is_read(head: str, odd: str, tail: str) -> None:
    text = head + odd * (200_000 // len(odd)) + tail
    prompt = Prompt.parse(text, ("good", "bad"))
    assert prompt.render() == text
    said = "".join((prompt.task, *prompt.rules, prompt.reasoning, prompt.contract, prompt.frame))
    assert "".join(said.split()) == "".join(text.split())


@pytest.mark.parametrize(
    ("text", "labels", "split"),
    [
        (
            "Is it so? Mind irony. It is ham, or else spam.",
            ("ham", "spam"),
            ("Is it so? Mind irony.", "It is ham, or else spam."),
        ),
        (
            "Classify it as Ham or Spam. Think of irony.",
            ("ham", "spam"),
            ("Think of irony.", "Classify it as Ham or Spam."),
        ),
        # What to judge may be reworded where another sentence says how to answer.
        ("Decide: is it ham or spam? One word.", ("ham", "spam"), ("Decide: is it ham or spam?", "One word.")),
        (
            "Say if it is ham or spam. Go. Only one word.",
            ("ham", "spam"),
            ("Say if it is ham or spam. Go.", "Only one word."),
        ),
        ("Decide between ham and spam.", ("ham", "spam"), ("Decide between ham and spam.", "")),
        ("Is it a spam? Hams are good.", ("ham", "spam"), ("Is it a spam? Hams are good.", "")),
        ("Judge it. Take a or b.", ("A", "B"), ("Judge it. Take a or b.", "")),
        ("Judge it. Good means good.", ("good",), ("Judge it. Good means good.", "")),
    ],
)
def test_a_sentence_that_names_all_labels_is_kept(text: str, labels: tuple[str, ...], split: tuple[str, str]) -> None:
    assert split_contract(text, labels) == split


@pytest.mark.parametrize(
    ("text", "named", "task", "contract", "rest"),
    [
        ("Judge it. Be brief. Mind irony.", "Be brief.", "Judge it. Mind irony.", "Be brief.", ()),
        ("Judge it. Answer yes or no.", "", "Judge it. Answer yes or no.", "", ()),
        ("Judge it and be brief, please.", "be brief", "Judge it and , please.", "be brief", ()),
        ("Judge it.\n\nBe brief.\n\nMind irony.", "Be brief.", "Judge it.\n\nMind irony.", "Be brief.", ()),
        ("Judge it.\n\nRules:\n- Be brief.", "Be brief.", "Judge it.", "Be brief.", ()),
        ("Judge it.\n\nRules:\n- Be brief.\n- Be fair.", "Be brief.", "Judge it.", "Be brief.", ("Be fair.",)),
        ("Judge it.\n\nRules:\n- Be fair.\n- Be brief.", "Be brief.", "Judge it.", "Be brief.", ("Be fair.",)),
        ("Judge it.\n\nRules:\n- Be fair.\n- Answer yes or no.", None, "Judge it.", "Answer yes or no.", ("Be fair.",)),
    ],
)
def test_a_contract_that_is_named_wins_over_the_guess(
    text: str, named: str | None, task: str, contract: str, rest: tuple[str, ...]
) -> None:
    prompt = Prompt.parse(text, contract=named)
    assert (prompt.task, prompt.contract, prompt.rules) == (task, contract, rest)
    edited = prompt.edit(role="You are a critic.", rules=(*rest, "One more."))
    assert Prompt.parse(edited.render(), contract=named).edit() == edited


def test_a_contract_in_the_frame_or_behind_the_examples_is_kept_where_it_stands() -> None:
    framed = Prompt.parse("Judge it. Mind irony.\n\n{input}\n\nBe brief.", contract="Be brief.")
    assert (framed.task, framed.contract, framed.frame) == ("Judge it. Mind irony.", "", "{input}\n\nBe brief.")
    shown = Prompt.parse(
        "Judge.\n\nExamples (1, as turns of the chat):\n\nInput: a\nAnswer: b\n\nBe brief. Go.", contract="Be brief."
    )
    assert (shown.task, shown.contract) == ("Judge.", "Be brief. Go.")


def test_a_contract_that_is_not_in_the_instructions_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="is not in the prompt's instructions: say it word for word"):
        Prompt.parse("Judge it. Answer yes or no.", contract="Answer no or yes.")


@pytest.mark.parametrize(
    ("prompt", "contract", "kept"),
    [
        (
            "Ist die Zahl groß? Schau genau hin. Antworte nur mit high oder low.",
            None,
            "Antworte nur mit high oder low.",
        ),
        ("Is it large? Look at it. It is high, or else it is low.", None, "It is high, or else it is low."),
        ("Is it large? Look at it. Then tell us.", "Then tell us.", "Then tell us."),
    ],
)
async def test_a_run_asks_no_candidate_without_the_contract(prompt: str, contract: str | None, kept: str) -> None:
    asked: set[str] = set()

    def answer(request: Request) -> str:
        if request.purpose == "proposer":
            return ""
        asked.add(request.messages[0].text)
        misled = any(word in request.messages[0].text for word in ("Look", "Schau"))
        return "high" if misled else expected_of(request.messages[-1].text)

    settings = config(initial_prompt=prompt, contract=contract, evolution_strategies=["ablation"], max_iterations=3)
    await AdaptiveCurriculumAgent(settings, ScriptedLLM(answer)).run_curriculum(samples, num_samples=40)
    assert len(asked) > 1
    assert all(kept in one for one in asked)


async def test_a_voter_that_says_it_in_other_words_keeps_its_own() -> None:
    voter = {"prompt": "High or low? Mind zeros. Answer with one word.", "calibrated": False}
    settings = config(
        initial_prompt="Is it large? Tell us.", contract="Tell us.", initial_voters=[voter], max_iterations=1
    )
    agent = AdaptiveCurriculumAgent(settings, ScriptedLLM(lambda request: "high"))
    assert (await agent.run_curriculum(samples, num_samples=40))["outcome"] != "improved"
