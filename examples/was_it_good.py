import holdstill
from holdstill import plot

run = holdstill.read_run("aligned")
found = holdstill.evaluate_run(run, region="mouth", progress=holdstill.progress_bar("evaluate"))
print(found)
print(found.jitter.after.rms, found.variance.after.share, found.per_frame["quality"].min())

plot.accumulated_variance(found).figure.savefig("variance.png")
plot.timeline(run, "quality").figure.savefig("quality.png")
plot.montage(run, n=4)[0, 0].figure.savefig("montage.png")
