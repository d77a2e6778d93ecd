using System.Buffers.Binary;
using System.Security.Cryptography;
using System.Text;
using Chatterbox.Models;

namespace Chatterbox.Ops.Cuda;

/// <summary>Compiled kernels on disk, so that a process has not to compile what another one has: a file each, named by the
/// hash of all that it was made of, with its own hash in front.</summary>
/// <param name="folder">Where they lie, made when it is needed; null for none. What cannot be read is compiled, and what
/// cannot be written is compiled again by the next process.</param>
internal sealed class KernelCache(string? folder)
{
    /// <summary>The environment variable that chooses the folder, or says "off".</summary>
    public const string Variable = "CHATTERBOX_KERNEL_CACHE";

    /// <summary>The one that the environment asks for.</summary>
    public static KernelCache Default { get; } = new(FolderOf(Environment.GetEnvironmentVariable(Variable)));

    /// <summary>The folder that a value of <see cref="Variable"/> stands for; null for none.</summary>
    public static string? FolderOf(string? value) =>
        value?.Trim() switch
        {
            null or "" => Path.Combine(ModelLocator.DefaultCacheFolder, "kernels"),
            "off" => null,
            var chosen => chosen,
        };

    /// <summary>Machine code from the cache, or compiled and put there.</summary>
    /// <param name="parts">All that it depends on.</param>
    /// <param name="compile">Compiles it.</param>
    public byte[] Get(IEnumerable<string> parts, Func<byte[]> compile)
    {
        if (folder is null)
        {
            return compile();
        }

        var path = Path.Combine(folder, $"{KeyOf(parts)}.cubin");
        if (Read(path) is { } kept)
        {
            return kept;
        }

        var compiled = compile();
        Write(path, compiled);
        return compiled;
    }

    private static string KeyOf(IEnumerable<string> parts)
    {
        using var hash = IncrementalHash.CreateHash(HashAlgorithmName.SHA256);
        Span<byte> length = stackalloc byte[sizeof(int)];
        foreach (var part in parts)
        {
            var bytes = Encoding.UTF8.GetBytes(part);
            BinaryPrimitives.WriteInt32LittleEndian(length, bytes.Length);
            hash.AppendData(length);
            hash.AppendData(bytes);
        }

        return Convert.ToHexStringLower(hash.GetHashAndReset());
    }

    /// <summary>What is in a file, or null where it is not there or not whole.</summary>
    private static byte[]? Read(string path)
    {
        try
        {
            var bytes = File.ReadAllBytes(path);
            return
                bytes.Length > SHA256.HashSizeInBytes
                && SHA256.HashData(bytes.AsSpan(SHA256.HashSizeInBytes)).AsSpan().SequenceEqual(bytes.AsSpan(0, SHA256.HashSizeInBytes))
                ? bytes[SHA256.HashSizeInBytes..]
                : null;
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            return null;
        }
    }

    /// <summary>Puts a file in its place, whole or not at all.</summary>
    private static void Write(string path, byte[] compiled)
    {
        var fresh = $"{path}.{Guid.NewGuid():N}.tmp";
        try
        {
            Directory.CreateDirectory(Path.GetDirectoryName(path)!);
            File.WriteAllBytes(fresh, [.. SHA256.HashData(compiled), .. compiled]);
            File.Move(fresh, path, overwrite: true);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            Remove(fresh);
        }
    }

    private static void Remove(string path)
    {
        try
        {
            File.Delete(path);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            // A full disk, or another user's folder: it is a cache.
        }
    }
}
