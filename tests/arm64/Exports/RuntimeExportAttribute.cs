namespace System.Runtime;

/// <summary>Names a function for the linker. The compiler knows it by its name only.</summary>
[AttributeUsage(AttributeTargets.Method)]
internal sealed class RuntimeExportAttribute(string name) : Attribute
{
    public string Name { get; } = name;
}
