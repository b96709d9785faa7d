using System.Reflection;

namespace KQuant.TestKit;

/// <summary>Finds files of the repository from a test, wherever the test executable lies.</summary>
public static class RepositoryFiles
{
    /// <summary>The repository root: <c>KQUANT_REPOSITORY</c> if set (for executables that moved), else where it was built.</summary>
    public static string Root { get; } = Environment.GetEnvironmentVariable("KQUANT_REPOSITORY")
        ?? typeof(RepositoryFiles).Assembly.GetCustomAttributes<AssemblyMetadataAttribute>()
            .Single(attribute => attribute.Key == "RepositoryRoot").Value!;

    /// <summary>Path of a file under <c>fixtures/</c>.</summary>
    public static string Fixture(params string[] parts) => Path.Combine([Root, "fixtures", .. parts]);
}
