using System.Security.Cryptography;
using System.Text;

namespace Chatterbox.Models;

/// <summary>Hashes by which the hub names contents, in lower-case hexadecimal.</summary>
internal static class ContentHash
{
    private const int Piece = 1 << 20;

    /// <summary>SHA-256 of a file: the name of a large content.</summary>
    public static string Sha256(string path, CancellationToken cancellationToken = default) =>
        Hash(path, HashAlgorithmName.SHA256, _ => "", cancellationToken);

    /// <inheritdoc cref="Sha256"/>
    public static Task<string> Sha256Async(string path, CancellationToken cancellationToken) =>
        Task.Run(() => Sha256(path, cancellationToken), cancellationToken);

    /// <summary>Git's name of a blob: the name of a small content.</summary>
    public static Task<string> GitBlobAsync(string path, CancellationToken cancellationToken) =>
        Task.Run(() => Hash(path, HashAlgorithmName.SHA1, bytes => $"blob {bytes}\0", cancellationToken), cancellationToken);

    private static string Hash(string path, HashAlgorithmName algorithm, Func<long, string> prefix, CancellationToken cancellationToken)
    {
        using var file = new FileStream(path, FileMode.Open, FileAccess.Read, FileShare.Read, bufferSize: 0, FileOptions.SequentialScan);
        using var hash = IncrementalHash.CreateHash(algorithm);
        hash.AppendData(Encoding.ASCII.GetBytes(prefix(file.Length)));
        var piece = new byte[Math.Min(Piece, file.Length + 1)];
        for (int read; (read = file.Read(piece)) > 0; )
        {
            cancellationToken.ThrowIfCancellationRequested();
            hash.AppendData(piece, 0, read);
        }

        return Convert.ToHexStringLower(hash.GetHashAndReset());
    }
}
