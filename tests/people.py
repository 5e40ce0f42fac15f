"""Synthetic people for the tests of face models: portraits at known eyes and mouth."""

import numpy as np

EYES = np.array([[16.0, 28.8], [48.0, 28.8]])
MOUTH = np.array([[24.0, 48.0], [40.0, 48.0]])


def portrait(look, frame_from_canonical, size=(110, 120), noise=0.0, seed=0):
    """A face drawn in the frame at known eyes and mouth; `look` (6,) makes it somebody's."""
    y, x = np.mgrid[: size[0], : size[1]].astype(float)
    back = np.linalg.inv(frame_from_canonical)
    u = back[0, 0] * x + back[0, 1] * y + back[0, 2]
    v = back[1, 0] * x + back[1, 1] * y + back[1, 2]
    image = 90.0 + 70.0 / (1.0 + np.exp((((u - 32) / 24) ** 2 + ((v - 34) / 29) ** 2 - 1) * 8.0))
    for (cx, cy), width, depth in zip(
        [(21, 28.8), (43, 28.8), (32, 48)], 3.0 + look[:3], 50.0 + 12.0 * look[3:], strict=True
    ):
        image -= depth * np.exp(-(((u - cx) / width) ** 2 + ((v - cy) / 2.5) ** 2))
    return image + noise * np.random.default_rng(seed).standard_normal(size)


def crowd(n, seed=0, shots=1, spread=1.0):
    """n people with several shots each: images, transforms, users."""
    rng = np.random.default_rng(seed)
    images, transforms, users = [], [], []
    for person in range(n):
        look = rng.uniform(-1.0, 1.0, 6)
        for shot in range(shots):
            scale, angle = rng.uniform(1.1, 1.6), rng.uniform(-0.2, 0.2)
            a, b = scale * np.cos(angle), scale * np.sin(angle)
            transform = np.array([[a, -b, 0.0], [b, a, 0.0], [0.0, 0.0, 1.0]])
            middle = np.array([60.0, 55.0]) + rng.uniform(-4.0, 4.0, 2)
            transform[:2, 2] = middle - transform[:2, :2] @ [31.5, 34.0]
            seen = look + 0.25 * spread * rng.normal(size=6)
            images.append(portrait(seen, transform, noise=1.0, seed=100 * person + shot))
            transforms.append(transform)
            users.append(f"user {person:02}")
    return images, np.array(transforms), users
