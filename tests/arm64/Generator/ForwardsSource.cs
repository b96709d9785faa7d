using System.Reflection;
using System.Reflection.Metadata;
using System.Reflection.PortableExecutable;
using System.Text;

namespace KQuant.Arm64.Generator;

/// <summary>
/// Type forwards for every public type of an assembly: what the reference assemblies that shipped code names are to consist of.
/// </summary>
internal static class ForwardsSource
{
    public static string Write(string assembly)
    {
        using var image = new PEReader(File.OpenRead(assembly));
        MetadataReader metadata = image.GetMetadataReader();
        var source = new StringBuilder();
        foreach (TypeDefinitionHandle handle in metadata.TypeDefinitions)
        {
            TypeDefinition type = metadata.GetTypeDefinition(handle);
            string name = metadata.GetString(type.Name), space = metadata.GetString(type.Namespace);
            if ((type.Attributes & TypeAttributes.VisibilityMask) != TypeAttributes.Public || (space == "System" && name == "Void"))
            {
                continue;
            }

            int arity = type.GetGenericParameters().Count;
            string typeArguments = arity == 0 ? "" : $"<{new string(',', arity - 1)}>";
            source.AppendLine(
                $"[assembly: System.Runtime.CompilerServices.TypeForwardedTo(typeof({space}.{name.Split('`')[0]}{typeArguments}))]");
        }

        return source.ToString();
    }
}
