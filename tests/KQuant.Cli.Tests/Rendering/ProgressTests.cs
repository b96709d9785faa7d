using KQuant.Cli.Rendering;
using KQuant.Codecs.Files;

namespace KQuant.Cli.Tests.Rendering;

/// <summary>Progress on a terminal and elsewhere, by a clock that the tests turn.</summary>
public class ProgressTests
{
    private const long MiB = 1 << 20;

    [Test]
    public void NothingIsSaidOfWorkThatIsDoneAtOnce()
    {
        using var error = new StringWriter { NewLine = "\n" };
        var clock = new Clock();
        var lines = new ProgressLines(error, clock);
        for (int i = 1; i <= 49; i++)
        {
            clock.Turn(0.1);
            lines.Report(At(i, 49));
        }

        Assert.That(error.ToString(), Is.Empty);
    }

    [Test]
    public void LongWorkSaysALineEveryFewSeconds()
    {
        using var error = new StringWriter { NewLine = "\n" };
        var clock = new Clock();
        var lines = new ProgressLines(error, clock);
        for (int i = 1; i <= 120; i++)
        {
            clock.Turn(0.2);
            lines.Report(At(i, 120));
        }

        string[] said = error.ToString().TrimEnd().Split('\n');
        Assert.That(said, Has.Length.EqualTo(4));
        Assert.That(said[0], Is.EqualTo(" 20 %  25.0 MiB of 120 MiB  5.00 MiB/s  0:19 left  blk.25.weight"));
        Assert.That(said[3], Does.StartWith("100 %  120 MiB of 120 MiB").Or.StartWith(" 83 %"));
    }

    [Test]
    public void TheFirstEstimateIsGivenOnceThereIsSomethingToEstimateFrom()
    {
        var meter = new ProgressMeter();
        meter.Add(TimeSpan.FromSeconds(0.5), 100 * MiB);
        meter.Add(TimeSpan.FromSeconds(0.501), 101 * MiB);
        Assert.That((meter.Rate, meter.Left(1000 * MiB)), Is.EqualTo(((double?)null, (TimeSpan?)null)), "what a cache gave at once says nothing");
        for (int i = 1; i <= 25; i++)
        {
            meter.Add(TimeSpan.FromSeconds(0.5 + (0.1 * i)), (101 + i) * MiB);
        }

        Assert.That(meter.Rate, Is.EqualTo(10 * MiB).Within(5).Percent);
        Assert.That(meter.Left(1126 * MiB)!.Value.TotalSeconds, Is.EqualTo(100).Within(5).Percent);
    }

    [Test]
    public void TheRateIsThatOfTheLastSeconds()
    {
        var meter = new ProgressMeter();
        long done = 0;
        for (int i = 0; i < 1000; i++)
        {
            done += i < 900 ? 1 : 10;
            meter.Add(TimeSpan.FromSeconds(0.1 * i), done * MiB);
        }

        Assert.That(meter.Rate, Is.EqualTo(100.0 * MiB).Within(1).Percent);
        meter.Add(TimeSpan.FromSeconds(103), done * MiB);
        Assert.That(meter.Rate, Is.LessThan(60.0 * MiB), "a rate falls while nothing happens");
    }

    [TestCase(80)]
    [TestCase(200)]
    [TestCase(40)]
    [TestCase(24)]
    [TestCase(10)]
    public void ARowIsAsWideAsTheTerminal(int width)
    {
        var meter = new ProgressMeter();
        foreach (string name in (string[])["short", "model.layers.17.mlp.switch_mlp.down_proj.weight", "漢字漢字漢字漢字漢字漢字漢字漢字漢字漢字漢字漢字.weight", new('n', 300), "new\nline"])
        {
            for (int i = 0; i <= 40; i++)
            {
                meter.Add(TimeSpan.FromSeconds(i), i * MiB);
                string row = ProgressText.Row(Progress(name, i, 40), meter, width);
                int cells = row.EnumerateRunes().Sum(CellWidth.Of);
                Assert.That(cells, width >= 40 ? Is.EqualTo(width - 1) : Is.LessThan(width), row);
                Assert.That(row, Does.Contain($"{100 * i / 40} %").And.Not.Contain("\n"));
            }
        }
    }

    [Test]
    public void ARowIsGoneInTheEnd()
    {
        using var error = new StringWriter();
        var clock = new Clock();
        var row = new ProgressRow(error, clock, () => 60);
        for (int i = 1; i <= 30; i++)
        {
            clock.Turn(0.03);
            row.Report(At(i, 30));
        }

        Assert.That(error.ToString().Count(c => c == '\r'), Is.InRange(5, 12), "not more often than people can see");
        Assert.That(Screen.RowsOf(error.ToString())[0], Does.Contain("% ").Or.Contain(" %").And.Length.EqualTo(59));
        row.Clear();
        Assert.That(Screen.RowsOf(error.ToString()), Is.EqualTo([""]));
    }

    private static ModelProgress At(int step, int steps) => Progress($"blk.{step}.weight", step, steps);

    private static ModelProgress Progress(string name, int step, int steps) => new()
    {
        TensorName = name,
        TensorIndex = step,
        TensorCount = steps,
        BytesDone = step * MiB,
        TotalBytes = steps * MiB,
    };

    private sealed class Clock : TimeProvider
    {
        private long _ticks;

        public override long TimestampFrequency => TimeSpan.TicksPerSecond;

        public override long GetTimestamp() => _ticks;

        public void Turn(double seconds) => _ticks += (long)(seconds * TimeSpan.TicksPerSecond);
    }
}
