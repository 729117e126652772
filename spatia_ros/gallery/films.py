"""The films of the gallery."""

from __future__ import annotations

from spatia_ros.gallery.film import Edit, Film, Take, View

FILMS: tuple[Film, ...] = (
    Film(
        "bullet-time", "Bullet time",
        "A ball, a child, a car: for two seconds time stands still, and the camera walks around the moment.",
        "street",
        (
            View(0.0, (20.0, 3.6, 1.5), (21.4, -1.2, 0.8)),
            View(2.0, (20.6, 3.4, 1.5), (21.4, -0.9, 0.8)),
            View(3.0, (24.1, 2.4, 1.7), (21.3, -0.6, 0.8)),
            View(4.0, (26.0, 0.2, 1.8), (21.2, -0.2, 0.8)),
            View(6.0, (26.4, -0.3, 1.8), (21.3, 0.1, 0.8)),
        ),
        (Take("", "bullet-time"),),
        moments_s=(0.9, 1.5, 2.3, 3.0, 4.0, 5.4),
    ),
    Film(
        "reverse", "Backwards, while the camera goes forward",
        "Time runs backwards: the parcel leaps back onto the sofa, the walker walks back; the camera goes its own way.",
        "room",
        (
            View(0.0, (4.6, 3.7, 1.5), (2.4, 1.2, 0.6)),
            View(2.5, (3.0, 3.8, 1.5), (2.5, 1.0, 0.6)),
            View(5.0, (1.5, 3.6, 1.4), (2.7, 0.9, 0.6)),
        ),
        (Take("", "reverse"),),
    ),
    Film(
        "one-frozen", "One stands still among those who move",
        "The man in red has a clock of his own: it stops for 3.5 seconds, while everybody else goes on.",
        "street",
        (
            View(0.0, (29.4, 2.5, 1.9), (24.2, 0.2, 0.8)),
            View(3.0, (29.2, 0.3, 2.0), (24.2, 0.0, 0.8)),
            View(6.0, (26.6, -1.7, 1.8), (23.6, 0.8, 0.9)),
        ),
        (Take("", "one-frozen"),),
    ),
    Film(
        "edit", "A change that stays",
        "The sofa turns green and the table is gone; the camera looks away, comes back, and so it is still.",
        "room",
        (
            View(0.0, (3.9, 3.7, 1.55), (2.1, 0.9, 0.5)),
            View(2.4, (3.9, 3.7, 1.55), (2.1, 0.9, 0.5)),
            View(4.4, (2.6, 2.7, 1.5), (5.3, 2.3, 1.1)),
            View(6.4, (3.9, 3.7, 1.55), (2.1, 0.9, 0.5)),
        ),
        (Take("", "edit"),),
        edits=(
            Edit(0.9, "recolour --component '2.1 0.5 0.45 1.3' --rgb '40 120 70' --blend 0.6"),
            Edit(1.7, "remove --box '1.75 1.45 0.03 2.85 2.2 0.8'"),
        ),
        moments_s=(0.3, 1.3, 2.3, 3.2, 4.4, 6.4),
        returns_s=(2.3, 6.4),
    ),
    Film(
        "car-faster", "What if the car had been 20 % faster?",
        "The same three seconds twice: as they were, and with the car a fifth faster. All else is the same.",
        "street",
        (View(0.0, (28.0, 2.3, 2.1), (20.8, -0.6, 0.6)), View(2.9, (27.2, 2.3, 2.0), (21.6, -0.4, 0.6))),
        (Take("as it was", "car"), Take("car 20 % faster", "car-faster")),
        moments_s=(1.0, 2.0, 2.9),
    ),
    Film(
        "steps-out", "What if he had set out one second earlier?",
        "Seen from a car: a man steps out between parked ones, as he did, and one second earlier.",
        "street",
        (View(0.0, (7.0, 0.1, 1.4), (17.0, 0.0, 1.0)), View(3.0, (18.0, 0.1, 1.4), (28.0, 0.0, 1.0))),
        (Take("as it was", "steps-out"), Take("one second earlier", "steps-out-earlier")),
        moments_s=(1.2, 2.0, 2.8),
    ),
    Film(
        "house", "In a house of textured meshes",
        "Two men with a clock each: the one in red walks through, the one in green goes back as he came; the arm works on.",
        "house",
        (
            View(0.0, (4.5, -4.7, 1.6), (1.6, -1.6, 0.8)),
            View(2.5, (4.5, -3.9, 1.6), (1.3, -1.9, 0.8)),
            View(5.0, (4.4, -2.6, 1.6), (0.9, -2.5, 0.8)),
        ),
        (Take("", "house"),),
    ),
)
