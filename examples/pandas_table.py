import pandas

rows = pandas.read_parquet("aligned/transforms.parquet")
print(rows.groupby("status")[["iterations", "quality"]].agg(["count", "mean", "min"]))
matrices = rows.filter(regex=r"^h\d\d$").to_numpy().reshape(-1, 3, 3)  # NaN where there is none
