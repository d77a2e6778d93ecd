using System.IO.MemoryMappedFiles;
using System.Runtime.InteropServices;
using Microsoft.Win32.SafeHandles;

namespace Chatterbox.Weights;

/// <summary>A file read in two ways: small pieces at a place, and whole tensors out of a memory map.</summary>
internal sealed unsafe class MappedFile : IDisposable
{
    private const long CopyPiece = 4 << 20;

    private readonly string _path;
    private readonly SafeFileHandle _file;
    private readonly MemoryMappedFile? _map;

    private MappedFile(string path, SafeFileHandle file)
    {
        _path = path;
        _file = file;
        Length = RandomAccess.GetLength(file);
        _map = Length == 0 ? null : MemoryMappedFile.CreateFromFile(file, null, 0, MemoryMappedFileAccess.Read, HandleInheritability.None, leaveOpen: true);
    }

    /// <summary>Size of the file in bytes.</summary>
    public long Length { get; }

    /// <summary>Opens a file for reading; nobody can write to it meanwhile where the system enforces that.</summary>
    /// <exception cref="CheckpointException">The file is missing or cannot be read.</exception>
    public static MappedFile Open(string path)
    {
        SafeFileHandle? file = null;
        try
        {
            file = File.OpenHandle(path, options: FileOptions.RandomAccess);
            return new MappedFile(path, file);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException or NotSupportedException)
        {
            file?.Dispose();
            throw Unreadable(path, e.Message, e);
        }
    }

    /// <summary>Fills <paramref name="target"/> from a place in the file.</summary>
    /// <exception cref="CheckpointException">The file ends before, or its disk does not answer.</exception>
    public void Read(Span<byte> target, long offset)
    {
        try
        {
            while (target.Length > 0)
            {
                var read = RandomAccess.Read(_file, target, offset);
                if (read == 0)
                {
                    throw Unreadable(_path, $"it ends at byte {offset}, before what is to be read");
                }

                target = target[read..];
                offset += read;
            }
        }
        catch (IOException e)
        {
            throw Unreadable(_path, e.Message, e);
        }
    }

    /// <summary>Fills a contiguous CPU tensor from a place in the file, which the caller has checked to lie inside.</summary>
    /// <remarks>Copies through windows of the map that are given back at once, so that the file's pages do not add to
    /// the process's resident memory beside the copy.</remarks>
    public void CopyTo(Tensor tensor, long offset)
    {
        var bytes = tensor.NumberOfElements * tensor.ElementSize;
        if (bytes == 0)
        {
            return;
        }

        fixed (byte* pinned = tensor.bytes)
        {
            var target = pinned;
            LargePages.Advise(target, bytes);
            Parallel.For(0, (bytes + CopyPiece - 1) / CopyPiece, piece =>
            {
                var start = piece * CopyPiece;
                var length = Math.Min(CopyPiece, bytes - start);
                using var view = _map!.CreateViewAccessor(offset + start, length, MemoryMappedFileAccess.Read);
                byte* from = null;
                view.SafeMemoryMappedViewHandle.AcquirePointer(ref from);
                try
                {
                    Buffer.MemoryCopy(from + view.PointerOffset, target + start, length, length);
                }
                finally
                {
                    view.SafeMemoryMappedViewHandle.ReleasePointer();
                }
            });
        }
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        _map?.Dispose();
        _file.Dispose();
    }

    private static CheckpointException Unreadable(string path, string why, Exception? inner = null) => new($"{path} cannot be read: {why}", inner);
}

/// <summary>Asks Linux for large pages behind memory that is about to be filled: a gigabyte of weights is then a few hundred
/// page faults instead of a quarter of a million, and fewer misses each time it is read. Advice only.</summary>
internal static unsafe partial class LargePages
{
    private const int HugePageAdvice = 14;      // MADV_HUGEPAGE
    private const long HugePage = 2 << 20;

    /// <summary>Advises for what of the memory is whole pages.</summary>
    public static void Advise(byte* memory, long bytes)
    {
        if (!OperatingSystem.IsLinux() || bytes < 2 * HugePage)
        {
            return;
        }

        var start = ((nint)memory + Environment.SystemPageSize - 1) & -Environment.SystemPageSize;
        _ = Madvise(start, (nuint)((nint)memory + (nint)bytes - start), HugePageAdvice);
    }

    [LibraryImport("libc", EntryPoint = "madvise")]
    private static partial int Madvise(nint address, nuint length, int advice);
}
