namespace KQuant.Arm64.Tests;

/// <summary>Tests that share emulated machines: starting one takes longer than most requests.</summary>
public abstract class Arm64Fixture
{
    private readonly Dictionary<string, Arm64Machine> _machines = [];

    /// <summary>Switches the machines off.</summary>
    [OneTimeTearDown]
    public void StopMachines()
    {
        foreach (Arm64Machine machine in _machines.Values)
        {
            machine.Dispose();
        }

        _machines.Clear();
    }

    /// <summary>A machine that no test has left in a bad state.</summary>
    private protected Arm64Machine Machine(string processor)
    {
        if (!_machines.TryGetValue(processor, out Arm64Machine? machine))
        {
            _machines[processor] = machine = new Arm64Machine(processor);
        }

        return machine;
    }

    /// <summary>After a failure the machine may have stopped: the next test gets a new one.</summary>
    [TearDown]
    public void ReplaceMachinesAfterAFailure()
    {
        if (TestContext.CurrentContext.Result.Outcome.Status == NUnit.Framework.Interfaces.TestStatus.Failed)
        {
            StopMachines();
        }
    }
}
