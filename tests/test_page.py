"""The page to listen to: in a browser all sounds and pictures load and it fits narrow and wide windows; the keyboard
moves and plays.
"""

import json
import re
import shutil
import subprocess

import numpy as np
import pytest
import soundfile
from run_script import run_script

from common.page import Sound, write_page

BROWSER = next(
    (path for name in ("chromium", "chromium-browser", "google-chrome") if (path := shutil.which(name))), None
)
PROBE = """
<script>
const errors = [];
window.addEventListener("error", (event) => errors.push(String(event.message || event.target.src)), true);
window.addEventListener("load", async () => {
  const audio = [...document.querySelectorAll("audio")];
  const waiting = () => audio.some((a) => !a.duration && !a.error);
  for (let i = 0; i < 200 && waiting(); i++) await new Promise((done) => setTimeout(done, 50));
  const played = [];
  HTMLMediaElement.prototype.play = function () { played.push(this.getAttribute("src")); };
  const press = (key) => document.dispatchEvent(new KeyboardEvent("keydown", { key, cancelable: true }));
  ["ArrowRight", "ArrowDown", " ", "ArrowLeft", "ArrowUp", "ArrowUp", " "].forEach(press);
  document.body.innerHTML = "<pre>RESULT" + JSON.stringify({
    errors, played,
    durations: audio.map((a) => a.duration),
    pictures: [...document.querySelectorAll("img")].map((i) => i.naturalWidth * i.getBoundingClientRect().height),
    bars: [...document.querySelectorAll("svg")].map((s) => s.getBoundingClientRect().width),
    overflow: document.documentElement.scrollWidth - window.innerWidth,
    small: Math.min(...[...document.querySelectorAll("figcaption, p")]
      .map((e) => parseFloat(getComputedStyle(e).fontSize))),
  }) + "TLUSER</pre>";
});
</script>
"""


def result(run):
    match = re.search(r"RESULT(\{.*\})TLUSER", run.stdout)
    assert match, run.stdout[-2000:] + run.stderr[-2000:]
    return json.loads(match[1].replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&"))


@pytest.fixture
def page(tmp_path):
    """Two rows of three sounds, one of them with a name that a URL would not take as it is."""
    rng = np.random.default_rng(0)
    sounds = []
    for name in ("original", "50% #1? <b>", "hybrid"):
        soundfile.write(tmp_path / f"{name.replace('<b>', 'b')}.wav", rng.normal(0, 0.1, 16384), 16384, subtype="FLOAT")
        sounds.append(Sound(name, tmp_path / f"{name.replace('<b>', 'b')}.wav", "SNR 12.3 dB", rng.uniform(-1, 1, 100)))
    rows = ["Sounds", ("first", sounds[0].z, sounds), ("second", None, sounds)]
    write_page(tmp_path / "index.html", "A page & its title", ["made with <these>"], rows)
    return tmp_path / "index.html"


@pytest.mark.parametrize("width", [400, 1400])
def test_everything_loads_and_fits_and_the_keyboard_works(page, width):
    if BROWSER is None:
        pytest.skip("no browser: Debian's package is called chromium")
    probe = PROBE if width > 500 else PROBE.replace("document.body.innerHTML =", "parent.document.body.innerHTML =")
    page.with_name("probed.html").write_text(page.read_text().replace("<head>", f"<head>{probe}"))
    page.with_name("frame.html").write_text(
        f'<!doctype html><iframe src="probed.html" style="border:0;width:{width}px;height:900px"></iframe>'
    )  # a headless window is at least 500 pixels wide, a frame is not
    address = page.with_name("probed.html" if width > 500 else "frame.html").as_uri()
    flags = ["--headless=new", "--no-sandbox", "--disable-gpu", "--allow-file-access-from-files"]
    flags += ["--disable-web-security", "--enable-logging=stderr", "--window-size=1400,1000"]
    command = [BROWSER, *flags, "--virtual-time-budget=20000", "--dump-dom", address]
    run = subprocess.run(command, capture_output=True, text=True)
    measured = result(run)
    assert "CONSOLE" not in run.stderr and measured["errors"] == []
    assert len(measured["durations"]) == 6 and all(abs(d - 1) < 1e-3 for d in measured["durations"])
    assert (
        len(measured["pictures"]) == 6
        and min(measured["pictures"]) > 1000
        and len(measured["bars"]) == 6
        and min(measured["bars"]) > 100
    )
    assert measured["overflow"] <= 0 and measured["small"] >= 12
    assert measured["played"] == ["50%25%20%231%3F%20b.wav", "original.wav"]


def test_what_the_page_says_is_escaped(page):
    text = page.read_text()
    assert "made with &lt;these&gt;" in text and "<b>50% #1? &lt;b&gt;</b>" in text and "A page &amp; its title" in text
    assert text.count('class="true"') == 3 and "http" not in text.replace("http-equiv", "")


@pytest.mark.slow
def test_the_examples_are_written_by_one_command(weights, generator, tmp_path, few_steps):
    (tmp_path / "real").mkdir()
    soundfile.write(tmp_path / "real/seven.wav", 0.2 * np.sin(np.arange(4000) / 3), 8000)
    arguments = [
        f"--examples={tmp_path / 'real'}",
        f"--checkpoint={weights / 'checkpoint'}",
        f"--inverse_mapping_checkpoint={weights / 'mapping'}",
        f"--classifier_checkpoint={weights / 'classifier'}",
        f"--judge_checkpoint={weights / 'judge'}",
    ]
    more = [f"--output={tmp_path / 'out'}", "--num_clips=2", "--max_iter=5", f"--resnet_checkpoint={tmp_path}"]
    assert run_script("calculate_metrics.py", *arguments, *more) == 0
    assert {path.name for path in (tmp_path / "out").iterdir()} == {"index.html", "recovered"}
    methods = {"original", "inverse_mapping", "gradient", "hybrid"}
    for kind, names in (("synthesized", {"0", "1"}), ("real", {"seven"})):
        expected = methods | ({"layer"} if kind == "real" else set())
        assert {p.name for p in (tmp_path / "out/recovered" / kind).iterdir()} == expected
        for method in expected:
            assert {p.stem for p in (tmp_path / "out/recovered" / kind / method).glob("*.wav")} == names
            latent = {p.stem for p in (tmp_path / "out/recovered" / kind / method).glob("*.npy")}
            assert latent == (set() if (kind, method) == ("real", "original") else names)
    page = (tmp_path / "out/index.html").read_text()
    assert page.count("<audio") == 13 and generator.sha256[:16] in page and page.count("<span>SNR ") == 6
