using KQuant.Codecs.Conversion;

namespace KQuant.Codecs.Tests.Conversion;

public class BudgetSolverTests
{
    private static readonly QuantCodec Codec = QuantCodec.Get(QuantFormat.F32);

    [Test]
    public void ItIsNearlyTheBestOfAllChoicesAndNeverTooLarge([Range(1, 40)] int seed)
    {
        var random = new Random(seed);
        BudgetGroup[] groups =
        [
            .. Enumerable.Range(0, 6).Select(_ =>
            {
                double loss = random.NextDouble() * 100;
                long bytes = random.Next(1, 50);
                return new BudgetGroup(
                [
                    .. Enumerable.Range(0, random.Next(1, 5)).Select(_ =>
                    {
                        (loss, bytes) = (loss * random.NextDouble(), bytes + random.Next(1, 60));
                        return new BudgetItem(Codec, bytes, 0, loss);
                    }),
                ]);
            }),
        ];
        var solver = new BudgetSolver(groups);
        long largest = groups.Sum(group => group.Items[^1].Bytes);
        for (int step = 0; step <= 10; step++)
        {
            long bytes = solver.SmallestBytes + ((largest - solver.SmallestBytes) * step / 10);
            int[] chosen = solver.Solve(bytes)!;
            double best = Search(groups, 0, bytes);
            Assert.That(solver.BytesOf(chosen), Is.LessThanOrEqualTo(bytes));
            Assert.That(chosen.Select((item, group) => groups[group].Items[item].Loss).Sum(), Is.LessThanOrEqualTo((best * 1.35) + 1e-9));
        }

        Assert.That(solver.Solve(solver.SmallestBytes - 1), Is.Null);
        BudgetPoint[] curve = [.. solver.Curve()];
        Assert.That(curve[0].Bytes, Is.EqualTo(solver.SmallestBytes));
        Assert.That(curve.Zip(curve.Skip(1)).All(pair => pair.First.Bytes < pair.Second.Bytes && pair.First.Loss > pair.Second.Loss));
    }

    private static double Search(BudgetGroup[] groups, int group, long bytes) =>
        bytes < 0 ? double.PositiveInfinity
        : group == groups.Length ? 0
        : groups[group].Items.Min(item => item.Loss + Search(groups, group + 1, bytes - item.Bytes));
}
