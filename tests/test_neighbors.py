"""The nearest neighbors: exact ones by brute force, approximate ones by their recall, and where they are kept."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import ms_coreset as mc
from ms_coreset.cli import main
from ms_coreset.errors import MsCoresetError, MsCoresetWarning
from ms_coreset.extraction.neighbor_files import NeighborFiles
from ms_coreset.selectors import norms, searches
from ms_coreset.selectors.neighbors import cell_count, nearest_among, nearest_neighbors
from ms_coreset.selectors.norms import rows_in_metric
from ms_coreset.stored_rows import StoredRows

mc.set_device("CPU")
METRICS = pytest.mark.parametrize("metric", ["euclidean", "cosine"])


def by_brute_force(rows, queries, candidates, k, metric="euclidean"):
    """(places, distances) (q, k), each query's own place left out."""
    rows = rows_in_metric(np.asarray(rows, np.float64), metric)
    squares = ((rows[queries][:, None] - rows[candidates]) ** 2).sum(axis=2)
    squares[queries[:, None] == candidates] = np.inf
    near = np.argsort(squares, axis=1, kind="stable")[:, :k]
    return candidates[near], np.sqrt(np.take_along_axis(squares, near, axis=1))


def blobs(n=3000, d=8, centers=40, seed=0):
    rng = np.random.RandomState(seed)
    return (3 * rng.randn(centers, d)[rng.randint(centers, size=n)] + rng.randn(n, d)).astype(np.float32)


@METRICS
@settings(max_examples=40, deadline=None)
@given(st.integers(2, 40), st.integers(1, 4), st.integers(1, 8), st.integers(0, 5))
def test_exact_ones_with_ties_and_duplicates(metric, n, d, k, seed):
    rows, k = np.random.RandomState(seed).randint(-2, 3, (n, d)).astype(float), min(k, n - 1)
    everyone = np.arange(n)
    for found in (nearest_neighbors(rows, k, metric=metric),
                  nearest_among(rows, everyone, everyone, k=k, metric=metric, probes=cell_count(n))):
        places, distances = by_brute_force(rows, everyone, everyone, k, metric)
        np.testing.assert_allclose(found.distances, distances, atol=1e-9)
        if metric == "euclidean":  # at length 1, rounding tells directions apart that are the same
            np.testing.assert_array_equal(found.places, places)
        assert found.recall == 1


@METRICS
def test_some_among_others(metric):
    rows = blobs(300)
    queries, candidates = np.arange(0, 300, 7), np.arange(40, 250)
    found = nearest_among(rows, queries, candidates, k=5, metric=metric)
    places, distances = by_brute_force(rows, queries, candidates, 5, metric)
    np.testing.assert_array_equal(found.places, places)
    np.testing.assert_allclose(found.distances, distances, atol=1e-9)


def test_a_sample_is_not_its_own_neighbor_but_its_duplicate_is():
    rows = np.repeat(np.random.RandomState(0).randn(30, 3), 2, axis=0)
    np.testing.assert_array_equal(nearest_neighbors(rows, 1).places[:, 0], np.arange(60) ^ 1)
    np.testing.assert_array_equal(nearest_neighbors(rows, 1, probes=2).places[:, 0], np.arange(60) ^ 1)


@METRICS
def test_cells_find_most_of_them_and_say_how_many(metric):
    rows, everyone = blobs(), np.arange(3000)
    exact, _ = by_brute_force(rows, everyone, everyone, 6, metric)
    recalls = []
    for probes in (1, 4, 16):
        with searches.collect_notes() as notes:
            found = nearest_neighbors(rows, 6, metric=metric, probes=probes)
        hits = np.mean([len(np.intersect1d(*pair)) / 6 for pair in zip(exact, found.places, strict=True)])
        assert found.recall == pytest.approx(hits, abs=0.03)  # told by 200 of 3,000
        assert notes == [{"k": 6, "cells": 55, "probes": probes, "recall": found.recall}]
        assert (found.places >= 0).all() and np.isfinite(found.distances).all()
        assert not (found.places == everyone[:, None]).any()
        apart = by_brute_force(rows, everyone, everyone, 2999, metric)
        assert (found.distances >= apart[1][:, :6] - 1e-9).all()
        recalls.append(hits)
    assert recalls == sorted(recalls) and recalls[0] < 0.99 and recalls[-1] > 0.99


def test_as_many_probes_as_cells_are_exact():
    rows = blobs(400)
    with searches.collect_notes() as notes:
        found = nearest_neighbors(rows, 4, probes=20)
    np.testing.assert_array_equal(found.places, nearest_neighbors(rows, 4).places)
    assert found.recall == 1 and not notes


def test_where_cells_hold_too_few_all_are_asked():
    rows = blobs(200)
    found = nearest_neighbors(rows, 120, probes=1)  # cells of some 14
    places, _ = by_brute_force(rows, np.arange(200), np.arange(200), 120)
    np.testing.assert_array_equal(found.places, places)


def test_the_seed_of_the_cells_decides_and_repeats():
    rows = blobs()
    first = nearest_neighbors(rows, 5, probes=1, seed=1)
    np.testing.assert_array_equal(first.places, nearest_neighbors(rows, 5, probes=1, seed=1).places)
    assert (first.places != nearest_neighbors(rows, 5, probes=1, seed=2).places).any()


@pytest.mark.parametrize("k", [0, 5])
def test_impossible_counts_are_refused(k):
    with pytest.raises(MsCoresetError, match=f"{k} neighbors of each sample: there must be 1 to 4"):
        nearest_neighbors(np.eye(5), k)


def test_long_searches_are_kept(tmp_path, monkeypatch):
    rows, counted = blobs(500), []
    monkeypatch.setattr(searches, "LONG", 1)
    with searches.kept_in(NeighborFiles(tmp_path / "kept")):
        first = nearest_neighbors(rows, 3, probes=2)
        monkeypatch.setattr("ms_coreset.selectors.neighbors._Search.of", lambda *_: counted.append(1) or first)
        again = nearest_neighbors(rows, 3, probes=2)
        assert not counted, "it is taken from the folder"
        np.testing.assert_array_equal(again.places, first.places)
        np.testing.assert_array_equal(again.distances, first.distances)
        assert again.recall == first.recall < 1
        for others in ({"k": 4}, {"metric": "cosine"}, {"probes": 3}, {"seed": 1}, {"features": rows + 1}):
            call = {"features": rows, "k": 3, "metric": "euclidean", "probes": 2, "seed": 0, **others}
            nearest_neighbors(call.pop("features"), call.pop("k"), **call)
        assert len(counted) == 5, "whatever else differs is another search"
    assert nearest_neighbors(rows, 3) is first, "outside of the block nothing is looked up"
    assert len(list((tmp_path / "kept").iterdir())) == 6


def test_short_searches_are_not_kept(tmp_path):
    with searches.kept_in(NeighborFiles(tmp_path)):
        nearest_neighbors(blobs(100), 3)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("damage", [lambda path: path.write_bytes(path.read_bytes()[:200]),
                                    lambda path: np.savez(path, places=np.zeros((3, 3), np.int64)),
                                    lambda path: np.savez(path, places=np.full((500, 3), -1),
                                                          distances=np.zeros((500, 3)), recall=1.0)])
def test_a_damaged_file_is_made_anew(tmp_path, monkeypatch, damage):
    monkeypatch.setattr(searches, "LONG", 1)
    rows = blobs(500)
    with searches.kept_in(NeighborFiles(tmp_path)):
        first = nearest_neighbors(rows, 3)
        file, = tmp_path.iterdir()
        damage(file)
        with pytest.warns(MsCoresetWarning, match="is not whole: the neighbors are sought anew"):
            again = nearest_neighbors(rows, 3)
        np.testing.assert_array_equal(again.places, first.places)
        np.testing.assert_array_equal(nearest_neighbors(rows, 3).places, first.places)


def evidence():
    rows = blobs(900)
    rng = np.random.RandomState(1)
    scores = np.where(rng.rand(900) < 0.5, rows[:, 0], np.nan)
    return mc.Evidence(rng.randint(0, 3, 900), rows, rng.randn(900, 3), imported=scores)


def test_cal_and_extrapolation_go_by_cells():
    known = evidence()
    for name, options in (("cal", {"within_class": False}), ("extrapolated", {})):
        exact, near = (mc.score(name, known, probes=probes, **options) for probes in (0, 12))
        assert (exact == near).mean() > 0.9
        np.testing.assert_array_equal(mc.score(name, known, probes=10**6, **options), exact)
    coreset = mc.select("cal", known, 0.1, probes=2, within_class=False)
    note, = coreset.manifest["neighbors"]
    assert note["probes"] == 2 and 0 < note["recall"] < 1
    assert "neighbors" not in mc.select("cal", known, 0.1).manifest


def test_facility_location_goes_by_cells():
    known = evidence()
    given = {"kernel": "features", "neighbors": 8}
    exact, near = (mc.select("facility_location", known, 0.05, probes=probes, **given) for probes in (0, 25))
    assert len(np.intersect1d(exact.indices, near.indices)) > 0.9 * len(exact)
    whole = mc.select("facility_location", known, 0.05, probes=1000, **given)
    np.testing.assert_array_equal(whole.indices, exact.indices)
    assert near.manifest["neighbors"][0]["k"] == 7
    rows = np.concatenate([np.zeros((2, 3)), np.eye(3), np.eye(3)])
    few, pairs = mc.Evidence(features=rows), {"kernel": "features", "neighbors": 2}
    np.testing.assert_array_equal(mc.select("facility_location", few, 0.5, probes=9, **pairs).indices,
                                  mc.select("facility_location", few, 0.5, **pairs).indices)
    for options in ({"probes": 2}, {"probes": 2, "neighbors": 3, "kernel": "gradient"}):
        with pytest.raises(MsCoresetError, match="probes 2 goes with neighbors and with kernel features"):
            mc.select("facility_location", known, 0.1, **options)


def test_the_command_tells_the_recall(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(searches, "LONG", 1)
    known = evidence()
    np.savez("mine.npz", features=known.features, logits=known.logits)
    words = ["--dataset", "arrays", "--data", "mine.npz", "--method", "cal", "--within-class", "false", "--probes", "2",
             "--rate", "0.1"]
    assert main(words, "select") in (0, None)
    note, = mc.Coreset.load("index/arrays-mine-cal-0.1.npz").manifest["neighbors"]
    told = capsys.readouterr().err
    assert f"neighbors, sought in 2 of 30 cells: {note['recall']:.1%} of the nearest 10 found" in told
    assert len(list((tmp_path / "cache" / "neighbors").iterdir())) == 1


@pytest.mark.parametrize("probes", [0, 3])
def test_rows_of_files_are_brought_to_length_1_when_they_are_read(probes):
    rows = np.random.RandomState(2).randn(300, 6).astype(np.float16)
    stored = StoredRows("features", rows)
    found, expected = (nearest_neighbors(given, 4, metric="cosine", probes=probes) for given in (stored, rows))
    np.testing.assert_array_equal(found.places, expected.places)
    np.testing.assert_array_equal(found.distances, expected.distances)
    assert isinstance(norms.rows_read_in_metric(stored, "cosine"), StoredRows)
