namespace KQuant.TestKit;

/// <summary>Tests that need tools of the system. In CI these have to be there, unless the run says that it goes without.</summary>
public static class SystemTools
{
    /// <summary>Whether a missing tool is a failure: <c>CI=true</c>, and <c>KQUANT_WITHOUT</c> does not list the part.</summary>
    /// <param name="part">Which tests: <c>metal</c>, <c>arm64</c> or <c>browser</c>.</param>
    /// <returns>False when they are skipped instead.</returns>
    public static bool AreRequired(string part) =>
        Environment.GetEnvironmentVariable("CI") == "true"
        && !(Environment.GetEnvironmentVariable("KQUANT_WITHOUT") ?? "").Split(',').Contains(part);
}
