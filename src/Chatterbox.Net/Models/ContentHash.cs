using System.Security.Cryptography;
using System.Text;

namespace Chatterbox.Models;

/// <summary>Hashes by which the hub names contents, in lower-case hexadecimal.</summary>
internal static class ContentHash
{
    /// <summary>SHA-256 of a file: the name of a large content.</summary>
    public static string Sha256(string path)
    {
        using var file = File.OpenRead(path);
        return Convert.ToHexStringLower(SHA256.HashData(file));
    }

    /// <inheritdoc cref="Sha256(string)"/>
    public static async Task<string> Sha256Async(string path, CancellationToken cancel)
    {
        await using var file = Open(path);
        return Convert.ToHexStringLower(await SHA256.HashDataAsync(file, cancel));
    }

    /// <summary>Git's name of a blob: the name of a small content.</summary>
    public static async Task<string> GitBlobAsync(string path, CancellationToken cancel)
    {
        await using var file = Open(path);
        using var hash = IncrementalHash.CreateHash(HashAlgorithmName.SHA1);
        hash.AppendData(Encoding.ASCII.GetBytes($"blob {file.Length}\0"));
        var buffer = new byte[1 << 17];
        for (int read; (read = await file.ReadAsync(buffer, cancel)) > 0;)
        {
            hash.AppendData(buffer, 0, read);
        }

        return Convert.ToHexStringLower(hash.GetHashAndReset());
    }

    private static FileStream Open(string path) => new(path, FileMode.Open, FileAccess.Read, FileShare.Read, 1 << 17, FileOptions.Asynchronous | FileOptions.SequentialScan);
}
