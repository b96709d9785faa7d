#!/usr/bin/env python3
"""Measures what every preset costs the two small models of this repository, and writes the figures into quality.md.

    dotnet build -c Release tools/KQuant.Cli
    docs/quality.py --train train.txt --held-out valid-dev.txt

The texts are those of fixtures/README.md: what the models were trained on, and held-out prose of the same kind. The text of another kind is
this repository: its pages and sources. Takes about fifteen minutes on two cores; models and matrices go to a temporary folder.
"""
import argparse
import json
import pathlib
import re
import subprocess
import tempfile

ROOT = pathlib.Path(__file__).resolve().parent.parent
BEGIN, END = "<!-- begin measured -->", "<!-- end measured -->"
MODELS = ["tiny-dense", "tiny-moe"]
SERIES = {"none": "no importance", "same": "training text", "other": "other text"}
TARGETS = ["llama.q3_k_m", "llama.q4_k_m"]

parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
parser.add_argument("--train", required=True, type=pathlib.Path)
parser.add_argument("--held-out", required=True, type=pathlib.Path)
parser.add_argument("--kquant", default=ROOT / "artifacts/bin/KQuant.Cli/release/kquant", type=pathlib.Path)
parser.add_argument("--windows", default=32, type=int, help="windows of 256 tokens to measure")
parser.add_argument("--chunks", default=60, type=int, help="chunks of 256 tokens to calibrate with")
parser.add_argument("--losses", default=2048, type=int, help="tokens on which losses are measured")
arguments = parser.parse_args()


def kquant(*words):
    done = subprocess.run([arguments.kquant, *map(str, words)], capture_output=True, text=True)
    return done.stdout if done.returncode == 0 else None


def must(*words):
    done = kquant(*words)
    if done is None:
        raise SystemExit(f"failed: kquant {' '.join(map(str, words))}")
    return done


def measure(model, work):
    """All quantizations of a model: (series, preset) -> figures, and its picture."""
    source = ROOT / "fixtures/models" / model
    texts = {"same": arguments.train.read_bytes()[:700_000].decode(errors="ignore")}
    pages = sorted(ROOT.glob("docs/*.md")) + sorted(ROOT.glob("src/**/*.cs"))
    texts["other"] = "".join(page.read_text() for page in pages if page.name != "quality.md")[:700_000]
    for name, text in texts.items():
        (work / f"{name}.txt").write_text(text)
        must("imatrix", "calibrate", "--model", source, "--corpus", work / f"{name}.txt", "--ctx", 256, "--chunks", arguments.chunks,
             "--losses", arguments.losses, "--activations", "f32", "--output", work / f"{name}.imatrix")

    presets = [line.split()[0] for line in must("quantize", "--list-presets").splitlines() if re.match(r"\S+ +\S+$", line)]
    files = {}
    for series in SERIES:
        folder = work / SERIES[series]
        folder.mkdir()
        matrix = [] if series == "none" else ["--imatrix", work / f"{series}.imatrix"]
        for preset in presets:
            file = folder / f"{preset}.gguf"
            if kquant("quantize", "--model", source, "--preset", preset, "--output", file, *matrix) is not None:
                files[series, preset] = file
        for preset in TARGETS:
            size = (folder / f"{preset}.gguf").stat().st_size
            file = folder / f"target {preset}.gguf"
            must("quantize", "--model", source, "--target-size", size, "--output", file, *matrix)
            files[series, f"target {preset}"] = file
    picture = ROOT / "docs" / f"quality-{model}.svg"
    report = json.loads(must("compare", "--against", source, "--file", arguments.held_out, "--ctx", 256, "--chunks", arguments.windows,
                             "--svg", picture, "--json", "--models", *files.values()))
    return presets, dict(zip(files, report["models"])), report["tokens"], picture.name


def cell(found, series, preset, key, form):
    return form.format(found[series, preset][key]) if (series, preset) in found else "-"


def describe(model, work):
    presets, found, _, picture = measure(model, work)
    lines = [f"### {model}", "", f"![bits per weight against divergence]({picture})", "",
             "| preset | bits per weight | mean KLD, no importance | training text | other text | same top token, no importance | training text | other text |",
             "|---|---|---|---|---|---|---|---|"]
    order = sorted(presets, key=lambda name: found.get(("same", name), found.get(("none", name)))["bits_per_weight"])
    for preset in order:
        bits = next(found[series, preset]["bits_per_weight"] for series in ("none", "same") if (series, preset) in found)
        cells = [cell(found, series, preset, "mean_divergence", "{:.6f}") for series in SERIES]
        tops = [cell(found, series, preset, "same_top", "{:.2%}") for series in SERIES]
        lines.append(f"| `{preset}` | {bits:.3f} | " + " | ".join(cells + tops) + " |")
    better = {series: sum(found[series, name]["mean_divergence"] < found["none", name]["mean_divergence"]
                          for name in presets if ("none", name) in found) for series in ("same", "other")}
    count = sum(("none", name) in found for name in presets)
    lines += ["", f"Importance from the training text is better than none for {better['same']} of {count} presets, that from the other text for "
              f"{better['other']}.", "", "At the bytes of a recipe, `--target-size` instead:", "",
              "| recipe | importance and losses from | bytes of the recipe | of the target | mean KLD of the recipe | of the target | less |", "|---|---|---|---|---|---|---|"]
    for preset in TARGETS:
        for series in SERIES:
            recipe, target = found[series, preset], found[series, f"target {preset}"]
            lines.append(f"| `{preset}` | {SERIES[series]} | {recipe['file_bytes']} | {target['file_bytes']} | {recipe['mean_divergence']:.6f} | "
                         f"{target['mean_divergence']:.6f} | {1 - target['mean_divergence'] / recipe['mean_divergence']:.0%} |")
    return lines + [""]


def main():
    lines = []
    for model in MODELS:
        with tempfile.TemporaryDirectory() as folder:
            lines += describe(model, pathlib.Path(folder))
    page = ROOT / "docs" / "quality.md"
    before, rest = page.read_text().split(BEGIN)
    page.write_text(before + BEGIN + "\n\n" + "\n".join(lines) + "\n" + END + rest.split(END)[1])


main()
