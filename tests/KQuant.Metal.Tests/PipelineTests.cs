using KQuant.Metal.ObjC;
using KQuant.Metal.Tests.Emulation;

// Not in the namespace of the other tests: these also run where the device is too old to compute with.
namespace KQuant.Metal.Compilation;

/// <summary>Metal's compiler takes every kernel, on any device that there is.</summary>
public class PipelineTests
{
    [Test]
    public void EveryKernelBecomesAPipeline()
    {
        if (OperatingSystem.IsLinux() && !SoftwareDevice.TryInstall())
        {
            Assert.Ignore($"needs {ShaderBuild.Requirement}");
        }

        SoftwareDevice.Configure();
        using MetalDevice? device = MetalDevice.OpenAny();
        if (device is null)
        {
            Assert.Ignore("This machine has no Metal device.");
        }

        using ObjCObject library = ShaderLibrary.Open(device, path: null);
        var refused = new List<string>();
        int made = 0;
        foreach (string name in MetalDevice.GetFunctionNames(library))
        {
            try
            {
                using ObjCObject pipeline = device.CreatePipeline(library, name, 32);
                made++;
            }
            catch (MetalException exception)
            {
                refused.Add($"{name}: {exception.Message}");
            }
        }

        // Devices before Apple7 have no matrix units; the backend does without.
        TestContext.Progress.WriteLine($"{device.Name}: {made} pipelines, {refused.Count} refused.");
        Assert.That(refused.Where(text => !text.Contains("_matrix", StringComparison.Ordinal)), Is.Empty);
        Assert.That(made + refused.Count, Is.GreaterThan(140));
    }
}
