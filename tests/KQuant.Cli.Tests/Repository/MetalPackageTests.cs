using KQuant.Metal;

namespace KQuant.Cli.Tests.Repository;

/// <summary>KQuant.Metal loads everywhere, and says no where there is no Metal.</summary>
public class MetalPackageTests
{
    [Test]
    public void IsHarmlessWhereThereIsNoMetal()
    {
        if (OperatingSystem.IsMacOS())
        {
            Assert.Ignore("macOS has Metal");
        }

        Assert.That(MetalBackend.IsSupported, Is.False);
        Assert.That(MetalBackend.IsPrecompiled, Is.False);
        Assert.That(() => MetalBackend.Create(), Throws.InstanceOf<PlatformNotSupportedException>().With.Message.EqualTo("Metal cannot be used: this machine has no Metal device."));
    }
}
