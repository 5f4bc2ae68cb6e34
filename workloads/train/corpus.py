"""Builds the training text: questions and answers from WordNet 3.1, the Jargon File and the King James Bible.

Usage: corpus.py WORDNET_DICT_DIR JARGON_TXT OUT.json   (the `bible` command must be on the path)
Each item is [question, answer]; answers are short enough for the model's context.
"""
import collections
import json
import re
import subprocess
import sys

NOUNS, VERBS, ADJECTIVES, EXAMPLES, JARGON, VERSES = 2400, 440, 260, 700, 1100, 300
MAX_ANSWER_WORDS = 32
ANIMAL = "05"


def sentence(text):
    text = text.strip().rstrip(";:,. ")
    return text[:1].upper() + text[1:] + "."


def article(word):
    return "an" if word[0] in "aeiou" else "a"


def synsets(directory, part):
    """Offset to (lexicographer file, definition, examples)."""
    out = {}
    for line in open(f"{directory}/data.{part}", encoding="utf-8"):
        if line.startswith("  "):
            continue
        head, gloss = line.split("|", 1)
        fields = head.split()
        definition = re.split(r'; "|;\s*$', gloss.strip())[0]
        examples = re.findall(r'"([^"]+)"', gloss)
        out[fields[0]] = (fields[1], definition, examples)
    return out


def senses(directory):
    """The most used sense of each word, by part of speech: (count, word, offset)."""
    best = collections.defaultdict(dict)
    kinds = {"1": "noun", "2": "verb", "3": "adj", "5": "adj"}
    for line in open(f"{directory}/index.sense", encoding="utf-8"):
        key, offset, number, count = line.split()
        word, rest = key.split("%", 1)
        part = kinds.get(rest[0])
        if part is None or number != "1" or not re.fullmatch(r"[a-z]{2,14}", word):
            continue
        best[part][word] = (int(count), offset)
    return best


def wordnet(directory):
    items = []
    best = senses(directory)
    for part, question, limit in (
        ("noun", "What is {a} {w}?", NOUNS),
        ("verb", "What does it mean to {w}?", VERBS),
        ("adj", "What does {w} mean?", ADJECTIVES),
    ):
        known = synsets(directory, part)
        ranked = sorted(best[part].items(), key=lambda item: (-item[1][0], item[0]))
        animals = [item for item in ranked if part == "noun" and known[item[1][1]][0] == ANIMAL and item[1][0] > 0]
        chosen = dict(animals + ranked[: limit - len(animals)])
        for word, (_, offset) in chosen.items():
            _, definition, examples = known[offset]
            if len(definition.split()) <= MAX_ANSWER_WORDS:
                items.append([question.format(a=article(word), w=word), sentence(definition)])
            if part == "verb" or part == "adj":
                usable = [e for e in examples if re.search(rf"\b{word}", e) and 3 <= len(e.split()) <= 14]
                if usable:
                    items.append([f"Use {word} in a sentence.", sentence(usable[0])])
    extra = [item for item in items if item[0].startswith("Use ")][:EXAMPLES]
    return [item for item in items if not item[0].startswith("Use ")] + extra


def jargon(path):
    items = []
    entries = re.split(r"^   :([^:\n]+):", open(path, encoding="utf-8").read(), flags=re.M)
    for word, body in zip(entries[1::2], entries[2::2]):
        if not re.fullmatch(r"[a-z][a-z -]{1,20}", word):
            continue
        for paragraph in body.split("\n\n")[1:]:
            plain = re.sub(r"[{}]", "", " ".join(paragraph.split()))
            plain = re.sub(r"^(?:\[[^\]]*\] |\d\. |(?:n|vi|vt|v|adj|adv|excl|interj)\.,? )*", "", plain)
            first = re.split(r"(?<=[a-z\)”])\. (?=[A-Z“])", plain)[0]
            if 4 <= len(first.split()) <= MAX_ANSWER_WORDS and first[0].isupper():
                items.append([f"What is {article(word)} {word}?", sentence(first)])
                break
    return items[:JARGON]


def verses():
    text = subprocess.run(["bible", "-f", "gen1:1-rev22:21"], capture_output=True, text=True, check=True).stdout
    items = []
    for book, place, verse in re.findall(r"^([1-3]?[A-Z][a-z]+)(\d+:\d+)\s+(.+)$", text, re.M):
        if place.endswith(":1") and len(verse.split()) <= MAX_ANSWER_WORDS:
            items.append([f"Quote {book} {place}.", verse.strip()])
    return items[:VERSES]


def main():
    directory, jargon_path, out = sys.argv[1:]
    items = {}
    for source in (wordnet(directory), jargon(jargon_path), verses()):
        print(len(source), source[:2], file=sys.stderr)
        for question, answer in source:
            items.setdefault(question, answer)
    json.dump(sorted(items.items()), open(out, "w"), ensure_ascii=False, indent=0)
    print(len(items), "items,", sum(len(a) for a in items.values()), "characters of answers", file=sys.stderr)


if __name__ == "__main__":
    main()
