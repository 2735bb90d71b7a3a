"""Whether what is exported translates as the specialized model does, on the whole test set of every direction of a run.

    python benchmarks/export_verification.py RUN

Every direction is exported in int8 into a temporary folder, with the run's test set as the sample: its float32
conversion must give the specialized model's hypotheses, or the export fails; int8 is compared.
"""

from __future__ import annotations

import argparse
import statistics
from pathlib import Path
from tempfile import TemporaryDirectory

from machine import write_result
from neuronspec.deploy.directions import export_directions


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path)
    options = parser.parse_args()
    with TemporaryDirectory() as folder:
        facts = export_directions(options.run, None, Path(folder) / "out", "int8", 1_000_000, None, None)
    found = {name: direction["verification"] for each in facts for name, direction in each["directions"].items()}
    sentences = sum(each["sentences"] for each in found.values())
    differences = [each["chrf_difference"] for each in found.values()]
    write_result(
        "export_verification",
        {
            "directions": len(found),
            "sentences": sentences,
            "float32: same hypothesis": sum(each["identical"] for each in found.values()),
            "float32: ties": sum(each["ties"] for each in found.values()),
            "int8: same hypothesis": sum(each["quantized_identical"] for each in found.values()),
            "int8 - float32, chrF++: mean over directions": round(statistics.mean(differences), 3),
            "int8 - float32, chrF++: directions outside of 0.3": sum(abs(each) > 0.3 for each in differences),
            "int8 - float32, chrF++": dict(sorted(zip(found, differences, strict=True))),
        },
    )


if __name__ == "__main__":
    main()
