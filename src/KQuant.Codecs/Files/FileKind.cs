namespace KQuant.Codecs.Files;

/// <summary>What a path leads to.</summary>
internal enum FileKind
{
    Missing = 0,
    Regular = 1,
    Folder = 2,
    Pipe = 3,
    Device = 4,
    Socket = 5,
}
