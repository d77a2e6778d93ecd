using Chatterbox.Models;

namespace Chatterbox.Weights;

/// <summary>Tells which files are the same, wherever they lie, and reads no more of them than that takes: links are followed,
/// and only files of one length are compared, by their hash. Thread-safe.</summary>
internal sealed class KnownCheckpoints
{
    private readonly Lock _gate = new();
    private readonly Dictionary<string, Known> _byPath = [];

    /// <summary>A name for what is in a file: equal for files that are the same.</summary>
    /// <exception cref="CheckpointException">The file cannot be read.</exception>
    public string ContentOf(string path)
    {
        try
        {
            lock (_gate)
            {
                var file = (FileInfo?)File.ResolveLinkTarget(path, returnFinalTarget: true) ?? new FileInfo(path);
                if (_byPath.TryGetValue(file.FullName, out var known) && known.Is(file))
                {
                    return known.Content;
                }

                var found = new Known(file);
                if (
                    _byPath.Values.FirstOrDefault(other => other.Length == found.Length && other.Sha256.Value == found.Sha256.Value) is
                    { } same
                )
                {
                    found = found with { Content = same.Content };
                }

                _byPath[file.FullName] = found;
                return found.Content;
            }
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new CheckpointException($"{path} cannot be read: {e.Message}", e);
        }
    }

    /// <param name="Length">Bytes.</param>
    /// <param name="Written">When the file was last written to.</param>
    /// <param name="Content">The name of what is in it.</param>
    /// <param name="Sha256">Its hash, computed when somebody asks.</param>
    private sealed record Known(long Length, DateTime Written, string Content, Lazy<string> Sha256)
    {
        public Known(FileInfo file)
            : this(
                file.Length,
                file.LastWriteTimeUtc,
                $"{file.FullName} of {file.LastWriteTimeUtc.Ticks}",
                new(() => HashOf(file), LazyThreadSafetyMode.PublicationOnly)
            ) { }

        public bool Is(FileInfo file) => Length == file.Length && Written == file.LastWriteTimeUtc;

        /// <summary>The hub's cache names large contents by their hash.</summary>
        private static string HashOf(FileInfo file) => HubCache.IsSha256(file.Name) ? file.Name : ContentHash.Sha256(file.FullName);
    }
}
