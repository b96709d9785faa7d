using KQuant.Arm64.Exports;

namespace KQuant.Arm64.Tests;

/// <summary>
/// Compiled code sees what an emulated processor has: a tier is never tested on one that lacks it, or has more than it should.
/// </summary>
public class ProcessorTests : Arm64Fixture
{
    [TestCaseSource(typeof(Processors), nameof(Processors.All))]
    public void TiersAreThoseOfTheProcessor(string processor)
    {
        int status = Machine(processor).Run(new Request { Operation = (int)Operation.Capabilities });
        Assert.That(status, Is.EqualTo(Processors.HasDotProduct(processor) ? 3 : 1));
    }
}
