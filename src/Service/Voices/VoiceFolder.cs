using Chatterbox.Service.Hosting;
using Microsoft.Extensions.Options;

namespace Chatterbox.Service.Voices;

/// <summary>A voice in the folder.</summary>
/// <param name="Id">Its name: the file's, without extension.</param>
/// <param name="Path">The file.</param>
internal sealed record VoiceEntry(string Id, string Path)
{
    /// <summary>Whether the file holds a finished voice, not a recording.</summary>
    public bool IsVoiceFile => Path.EndsWith(VoiceFolder.VoiceFileExtension, StringComparison.OrdinalIgnoreCase);
}

/// <summary>Names to files, never outside the folder.</summary>
internal sealed class VoiceFolder(IOptions<ServiceOptions> options)
{
    /// <summary>Extension of a finished voice.</summary>
    public const string VoiceFileExtension = ".safetensors";

    private static readonly string[] SpeakExtensions = [".wav", ".mp3"];
    private static readonly string[] AllExtensions = [.. SpeakExtensions, ".flac", ".ogg", ".m4a", VoiceFileExtension];

    /// <summary>The folder, with links followed.</summary>
    public string Root { get; } = Resolve(new DirectoryInfo(System.IO.Path.GetFullPath(options.Value.VoicesFolder)));

    /// <summary>Kinds of recordings that can be uploaded.</summary>
    public static IReadOnlyList<string> RecordingExtensions { get; } = [.. AllExtensions.Where(e => e != VoiceFileExtension)];

    /// <summary>Names of the recordings that <c>/speak</c> finds.</summary>
    public IReadOnlyList<string> SpeakNames() => [.. List(SpeakExtensions).Select(v => v.Id)];

    /// <summary>Every voice, by name.</summary>
    public IReadOnlyList<VoiceEntry> All() => List(AllExtensions);

    /// <summary>Finds NAME.wav, else NAME.mp3; null if neither is there.</summary>
    public VoiceEntry? FindForSpeak(string name) => SpeakExtensions.Select(e => Find(name, e)).FirstOrDefault(v => v is not null);

    /// <summary>Finds a voice by its name with or without extension; null if it is not there.</summary>
    public VoiceEntry? Find(string name)
    {
        var extension = AllExtensions.FirstOrDefault(e => name.EndsWith(e, StringComparison.OrdinalIgnoreCase));
        return (extension is null ? null : Find(name[..^extension.Length], name[^extension.Length..]))
            ?? AllExtensions.Select(e => Find(name, e)).FirstOrDefault(v => v is not null);
    }

    /// <summary>The file that a new voice of this name would have; null if the name cannot be one.</summary>
    public string? PathFor(string name, string extension) => IsName(name) ? System.IO.Path.Combine(Root, name + extension) : null;

    private static bool IsName(string name) =>
        name.Length is > 0 and <= 200
        && name[0] != '.'
        && !name.Any(c => char.IsControl(c) || c is '/' or '\\' or ':' or '*' or '?' or '"' or '<' or '>' or '|')
        && name == System.IO.Path.GetFileName(name);

    private static string Resolve(FileSystemInfo file) =>
        file.ResolveLinkTarget(returnFinalTarget: true)?.FullName ?? file.FullName;

    private VoiceEntry? Find(string name, string extension)
    {
        if (PathFor(name, extension) is not { } path || !File.Exists(path))
        {
            return null;
        }

        return IsInside(path) ? new VoiceEntry(name, path) : null;
    }

    /// <summary>A link may lead to another file of the folder, and nowhere else.</summary>
    private bool IsInside(string path)
    {
        try
        {
            return Resolve(new FileInfo(path)).StartsWith(Root + System.IO.Path.DirectorySeparatorChar, StringComparison.Ordinal);
        }
        catch (IOException)
        {
            return false; // a link to itself
        }
    }

    private List<VoiceEntry> List(string[] extensions) =>
    [
        .. Directory.EnumerateFiles(Root)
            .Where(f => extensions.Contains(System.IO.Path.GetExtension(f), StringComparer.Ordinal))
            .Select(f => System.IO.Path.GetFileNameWithoutExtension(f))
            .Distinct()
            .Order(StringComparer.Ordinal)
            .Select(name => extensions.Select(e => Find(name, e)).FirstOrDefault(v => v is not null))
            .OfType<VoiceEntry>(),
    ];
}
