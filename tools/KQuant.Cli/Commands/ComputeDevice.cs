namespace KQuant.Cli.Commands;

/// <summary>Where to compute.</summary>
internal enum ComputeDevice
{
    Cpu = 0,
    Metal = 1,
    Auto = 2,
}
