using PropertyAttribute = FsCheck.NUnit.PropertyAttribute;

namespace KQuant.Codecs.Tests;

/// <summary>A property that meets the same cases in every run, and says nothing while it holds.</summary>
[AttributeUsage(AttributeTargets.Method)]
public sealed class SeededPropertyAttribute : PropertyAttribute
{
    public SeededPropertyAttribute()
    {
        Replay = "20261120,11";
        QuietOnSuccess = true;
    }
}
