import pyarrow.compute as pc
import pyarrow.parquet as pq

rows = pq.read_table("aligned/transforms.parquet", columns=["frame", "time", "status", "residual"])
suspicious = rows.filter(pc.field("status") != "converged")
worst = rows.sort_by([("residual", "descending")]).slice(0, 10).to_pylist()
