using System.Text;
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

    /// <summary>A message about the file that calls it by the voice's name: where files lie, and what an upload is called before it is one,
    /// is
    /// not for clients.</summary>
    public string WithoutPath(string message) =>
        message.Replace(Path, Id, StringComparison.Ordinal).Replace(System.IO.Path.GetFileName(Path), Id, StringComparison.Ordinal);
}

/// <summary>Names to files, never outside the folder.</summary>
internal sealed class VoiceFolder(IOptions<ServiceOptions> options)
{
    /// <summary>Extension of a finished voice.</summary>
    public const string VoiceFileExtension = ".safetensors";

    private const int LongestNameBytes = 200; // file systems take 255, with extension and the marks of a half-written file

    private static readonly string[] SpeakExtensions = [".wav", ".mp3"];
    private static readonly string[] AllExtensions =
    [
        .. SpeakExtensions,
        ".flac",
        ".ogg",
        ".opus",
        ".aiff",
        ".aif",
        ".m4a",
        VoiceFileExtension,
    ];

    /// <summary>The folder, with links followed.</summary>
    public string Root { get; } = Resolve(new DirectoryInfo(System.IO.Path.GetFullPath(options.Value.VoicesFolder)));

    /// <summary>Kinds of recordings that can be uploaded.</summary>
    public static IReadOnlyList<string> RecordingExtensions { get; } = [.. AllExtensions.Where(e => e != VoiceFileExtension)];

    /// <summary>Names of the recordings that <c>/speak</c> finds.</summary>
    public IReadOnlyList<string> SpeakNames() => [.. List(SpeakExtensions).Select(v => v.Id)];

    /// <summary>Every voice, by name.</summary>
    public IReadOnlyList<VoiceEntry> All() => List(AllExtensions);

    /// <summary>What has the name of a voice and is none, with the reason.</summary>
    public IReadOnlyList<(string File, string Reason)> Unusable() =>
        [
            .. Directory
                .EnumerateFileSystemEntries(Root)
                .Where(f =>
                    AllExtensions.Contains(System.IO.Path.GetExtension(f), StringComparer.Ordinal)
                    && System.IO.Path.GetFileName(f)[0] != '.'
                )
                .Select(f =>
                    (
                        System.IO.Path.GetFileName(f),
                        Reason: !IsName(System.IO.Path.GetFileNameWithoutExtension(f)) ? "its name cannot be a voice's" : WhyUnusable(f)
                    )
                )
                .Where(f => f.Reason is not null)
                .OrderBy(f => f.Item1, StringComparer.Ordinal)
                .Select(f => (f.Item1, f.Reason!)),
        ];

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
        Encoding.UTF8.GetByteCount(name) is > 0 and <= LongestNameBytes
        && name[0] != '.'
        && !name.Any(c => char.IsControl(c) || c is '/' or '\\' or ':' or '*' or '?' or '"' or '<' or '>' or '|')
        && name == System.IO.Path.GetFileName(name);

    private static string Resolve(FileSystemInfo file) => file.ResolveLinkTarget(returnFinalTarget: true)?.FullName ?? file.FullName;

    private VoiceEntry? Find(string name, string extension)
    {
        return PathFor(name, extension) is { } path && File.Exists(path) && WhyUnusable(path) is null ? new VoiceEntry(name, path) : null;
    }

    /// <summary>Why a file cannot be a voice, whatever its name; null if it may. A link may lead to another file of the folder, and
    /// nowhere else; and what is empty is not opened at all: pipes, sockets and devices look so, and opening one can take for
    /// ever.</summary>
    private string? WhyUnusable(string path)
    {
        try
        {
            var target = new FileInfo(Resolve(new FileInfo(path)));
            return !target.FullName.StartsWith(Root + System.IO.Path.DirectorySeparatorChar, StringComparison.Ordinal)
                    ? "it is a link out of the folder"
                : Directory.Exists(target.FullName) ? "it is a folder"
                : !target.Exists ? "it is a link to a file that is missing"
                : target.Length == 0 ? "it is empty, or no regular file"
                : null;
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            return "it cannot be read";
        }
    }

    private List<VoiceEntry> List(string[] extensions) =>
        [
            .. Directory
                .EnumerateFiles(Root)
                .Where(f => extensions.Contains(System.IO.Path.GetExtension(f), StringComparer.Ordinal))
                .Select(f => System.IO.Path.GetFileNameWithoutExtension(f))
                .Distinct()
                .Order(StringComparer.Ordinal)
                .Select(name => extensions.Select(e => Find(name, e)).FirstOrDefault(v => v is not null))
                .OfType<VoiceEntry>(),
        ];
}
