"""The ride page as it comes from the server."""

import re

import pytest

from api.pages import static
from api.pages.modules import join_modules
from tests.api.answers import T0, seconds_of
from tests.api.conftest import MakeKey
from tests.api.pages.browsing import Visitor
from tests.conftest import Rider


@pytest.fixture
def ride(rider: Rider) -> str:
    """Ten minutes at 200 W."""
    workout = rider.start(title="Over <the> hills")
    rider.upload(workout, seconds_of(200, 600))
    rider.complete(workout)
    return workout


def sign_in(visitor: Visitor, key: str) -> None:
    assert visitor.submit("/sign-in", {"key": key}).status_code == 303


def test_a_stranger_is_sent_to_sign_in_and_comes_back(visitor: Visitor, ride: str) -> None:
    answer = visitor.get(f"/rides/{ride}?x=1")
    assert answer.status_code == 303
    assert answer.headers["location"] == f"/sign-in?next=/rides/{ride}%3Fx%3D1"
    assert f'name="next" value="/rides/{ride}?x=1"' in visitor.get(answer.headers["location"]).text


def test_the_first_answer_has_title_figures_and_definitions(
    visitor: Visitor, rider: Rider, ride: str
) -> None:
    sign_in(visitor, rider.account.api_key)
    page = visitor.get(f"/rides/{ride}").text
    assert "<h1>Over &lt;the&gt; hills</h1>" in page
    assert re.search(r"Work</span>\s*<span[^>]*>120<span", page)  # 600 s at 200 W
    assert "30 s moving mean over full windows" in page
    assert re.findall(r"<script(?![^>]* src=)|<style|\sstyle=|\son\w+=", page) == []


def test_a_ride_without_power_has_no_place_for_what_it_lacks(
    visitor: Visitor, rider: Rider
) -> None:
    workout = rider.start()
    rider.upload(workout, [{"timestamp": T0 + 1000 * at, "speed": 8.0} for at in range(60)])
    rider.complete(workout)
    sign_in(visitor, rider.account.api_key)
    page = visitor.get(f"/rides/{workout}").text
    assert "Recorded without power" in page
    for name in ("Normalized", "TSS<", "Heart rate<", "Power curve", "Zones"):
        assert name not in page


def test_of_many_laps_a_dozen_are_shown_at_first(visitor: Visitor, rider: Rider) -> None:
    """Sixteen of 30 s; without speed and heart rate there is no column of either."""
    workout = rider.start()
    rider.upload(workout, seconds_of(200, 480))
    laps = [{"end": T0 + 30_000 * (at + 1)} for at in range(16)]
    rider.client.post(f"/api/workouts/{workout}/laps", json={"laps": laps})
    rider.complete(workout)
    sign_in(visitor, rider.account.api_key)
    page = visitor.get(f"/rides/{workout}").text
    table = page[page.index('aria-label="Laps"') : page.index("All 16 laps")]
    assert re.findall(r'<th scope="col"[^>]*>([^<]+)', table) == [
        *("Lap", "Time", "Power", "Normalized"),
    ]
    at_first, rest = table.split("<tbody hidden>")
    assert (at_first.count('scope="row"'), rest.count('scope="row"')) == (12, 4)


def test_another_s_ride_is_there_for_nobody_else(signed_in: Visitor, ride: str) -> None:
    for path in (ride, "00000000-0000-0000-0000-000000000000", "nothing"):
        page = signed_in.get(f"/rides/{path}")
        assert page.status_code == 404
        assert "There is nothing here" in page.text


def test_a_key_that_only_reads_sees_no_controls(
    visitor: Visitor, rider: Rider, ride: str, make_api_key: MakeKey
) -> None:
    sign_in(visitor, make_api_key(str(rider.account.user_id), ["read"]))
    page = visitor.get(f"/rides/{ride}").text
    assert "Export" in page
    assert "Delete the ride" not in page


def test_a_cookie_with_a_key_that_only_uploads_opens_no_page(
    visitor: Visitor, rider: Rider, ride: str, make_api_key: MakeKey
) -> None:
    visitor.client.cookies["session"] = make_api_key(str(rider.account.user_id), ["upload"])
    page = visitor.get(f"/rides/{ride}")
    assert page.status_code == 403
    assert "Over" not in page.text


def test_figures_are_in_the_units_that_were_chosen(visitor: Visitor, rider: Rider) -> None:
    workout = rider.start()
    samples = [{"timestamp": T0 + 1000 * at, "distance": 10.0 * at} for at in range(601)]
    rider.upload(workout, samples)
    rider.complete(workout)
    sign_in(visitor, rider.account.api_key)
    german = visitor.get(f"/rides/{workout}", Accept_Language="de-DE,de;q=0.9").text
    assert re.search(r"6,0<span class=\"unit\">km", german)
    visitor.submit("/units", {"units": "imperial"})
    assert re.search(r"3\.7<span class=\"unit\">mi", visitor.get(f"/rides/{workout}").text)


def test_choosing_units_leads_back_to_a_page_of_ours_alone(signed_in: Visitor) -> None:
    for wanted, shown in (("/import?x=1", "/import?x=1"), ("https://evil.example/", "/")):
        answer = signed_in.submit("/units", {"units": "metric", "next": wanted})
        assert answer.headers["location"] == shown
    assert 'name="next" value="/import?x=1"' in signed_in.get("/import?x=1").text


def test_all_scripts_together_are_less_than_200_kb() -> None:
    scripts = [*static.FOLDER.rglob("*.js")]
    assert len(scripts) > 10
    assert sum(path.stat().st_size for path in scripts) < 200_000


def test_a_script_is_sent_with_all_that_it_imports(visitor: Visitor) -> None:
    sent = visitor.get(static.address_of("ride.js")).text
    assert sent.count("class Charts ") == sent.count("const module_scale ") == 1
    assert "\nimport " not in sent


def test_modules_are_joined_in_the_order_in_which_they_need_one_another() -> None:
    sources = {
        "page": 'import { two as more } from "./sums.js";\nimport "./keys.js";\nmore();\n',
        "sums": "export const one = 1;\nexport async function two() {}\n",
        "keys": 'import { one } from "./sums.js";\none;\n',
    }
    joined = join_modules(sources, "page")
    sums, keys, page = (joined.index(f"const module_{each} =") for each in ("sums", "keys", "page"))
    assert sums < keys < page
    assert "const { two: more } = module_sums;" in joined
    assert "export" not in joined
    assert join_modules(sources, "sums").endswith("export const { one, two } = module_sums;\n")
