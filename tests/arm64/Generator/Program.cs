using KQuant.Arm64.Generator;

// Writes sources of the module that kernels are compiled against: `intrinsics FILE`, or `forwards ASSEMBLY FILE`.
switch (args)
{
    case ["intrinsics", string file]:
        File.WriteAllText(file, IntrinsicsSource.Write());
        return 0;
    case ["forwards", string assembly, string file]:
        File.WriteAllText(file, ForwardsSource.Write(assembly));
        return 0;
    default:
        Console.Error.WriteLine("usage: KQuant.Arm64.Generator intrinsics FILE | forwards ASSEMBLY FILE");
        return 2;
}
