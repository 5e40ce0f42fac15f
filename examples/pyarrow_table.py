import pyarrow.compute as pc
import pyarrow.parquet as pq

rows = pq.read_table("aligned/transforms.parquet", columns=["frame", "time", "status", "quality"])
suspicious = rows.filter((pc.field("status") != "converged") | (pc.field("quality") < 0.5))
worst = rows.sort_by([("quality", "ascending")]).slice(0, 10).to_pylist()
