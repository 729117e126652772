"""Filters of entities: names by POSIX expressions, categories, tags, overlap; strangers' expressions cost little."""

import numpy as np
import pytest

pytest.importorskip("simulation_interfaces", reason="needs simulation_interfaces (make test sets it up)")

from geometry_msgs.msg import Vector3
from simulation_interfaces.msg import Bounds, EntityCategory, EntityFilters, Result, TagsFilter

from spatia_ros.nodes.simulation.entity_filter import Described, Refused, matcher

PEOPLE = EntityCategory.CATEGORY_HUMAN
THINGS = [
    Described("walker_1", PEOPLE, ("actor", "pedestrian"), (np.zeros(3), np.ones(3))),
    Described("walker_22", PEOPLE, ("actor", "pedestrian", "red"), (np.full(3, 5.0), np.full(3, 6.0))),
    Described("cart", EntityCategory.CATEGORY_OBJECT, ("actor", "red"), (np.zeros(3), np.full(3, 0.5))),
    Described("gone", EntityCategory.CATEGORY_OBJECT, (), None),
]


def bounds(kind, *points):
    return Bounds(type=kind, points=[Vector3(x=float(x), y=float(y), z=float(z)) for x, y, z in points])


def named(**filters):
    passes = matcher(EntityFilters(**filters))
    return [thing.name for thing in THINGS if passes(thing)]


@pytest.mark.parametrize(
    ("filters", "names"),
    [
        ({}, ["walker_1", "walker_22", "cart", "gone"]),
        ({"filter": "walker"}, ["walker_1", "walker_22"]),
        ({"filter": "^walker_[0-9]$"}, ["walker_1"]),
        ({"filter": "_[[:digit:]]{2}$|^c"}, ["walker_22", "cart"]),  # POSIX classes, which Python's re does not have
        ({"categories": [EntityCategory(category=PEOPLE)]}, ["walker_1", "walker_22"]),
        ({"tags": TagsFilter(tags=["red", "pedestrian"])}, ["walker_1", "walker_22", "cart"]),
        ({"tags": TagsFilter(tags=["red", "pedestrian"], filter_mode=TagsFilter.FILTER_MODE_ALL)}, ["walker_22"]),
        ({"bounds": bounds(Bounds.TYPE_BOX, (0.9, 0.9, 0.9), (0.6, 0.6, 0.6))}, ["walker_1"]),
        ({"bounds": bounds(Bounds.TYPE_SPHERE, (4.0, 5.5, 5.5), (1.0, 0, 0))}, ["walker_22"]),
        ({"bounds": bounds(Bounds.TYPE_SPHERE, (4.0, 5.5, 5.5), (0.9, 0, 0))}, []),
        ({"filter": "r", "tags": TagsFilter(tags=["red"]), "bounds": bounds(Bounds.TYPE_BOX, (1, 1, 1), (0, 0, 0))}, ["cart"]),
    ],
)
def test_what_passes_all_filters(filters, names):
    assert named(**filters) == names


@pytest.mark.parametrize(
    ("filters", "code"),
    [
        ({"filter": "(unclosed"}, Result.RESULT_OPERATION_FAILED),
        ({"filter": "a" * 1000}, Result.RESULT_OPERATION_FAILED),
        ({"filter": "((a{9}){9}){9}"}, Result.RESULT_OPERATION_FAILED),
        ({"filter": "a{30000}"}, Result.RESULT_OPERATION_FAILED),
        ({"filter": r"(a*)\1"}, Result.RESULT_OPERATION_FAILED),
        ({"filter": "a\0b"}, Result.RESULT_OPERATION_FAILED),
        ({"tags": TagsFilter(filter_mode=7)}, Result.RESULT_OPERATION_FAILED),
        ({"bounds": bounds(9, (0, 0, 0))}, Result.RESULT_FEATURE_UNSUPPORTED),
        ({"bounds": bounds(Bounds.TYPE_CONVEX_HULL)}, Result.RESULT_OPERATION_FAILED),
        ({"bounds": bounds(Bounds.TYPE_CONVEX_HULL, *[(0, 0, 0)] * 257)}, Result.RESULT_OPERATION_FAILED),
        ({"bounds": bounds(Bounds.TYPE_BOX, (0, 0, 0))}, Result.RESULT_OPERATION_FAILED),
        ({"bounds": bounds(Bounds.TYPE_SPHERE, (0, 0, float("nan")), (1, 0, 0))}, Result.RESULT_OPERATION_FAILED),
    ],
)
def test_a_filter_that_is_none_is_refused_with_a_code(filters, code):
    with pytest.raises(Refused) as refused:
        named(**filters)
    assert refused.value.code == code


def test_an_expression_that_backtracks_elsewhere_is_answered_at_once():
    passes = matcher(EntityFilters(filter="^(a+)+$"))
    assert not passes(Described("a" * 5000 + "!", 0, (), None))
