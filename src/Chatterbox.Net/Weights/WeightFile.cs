using System.Buffers;
using System.Runtime.ExceptionServices;
using System.Runtime.InteropServices;
using Microsoft.Win32.SafeHandles;

namespace Chatterbox.Weights;

/// <summary>A file of weights, read in three ways: small pieces at a place, long stretches piece by piece, and whole tensors.</summary>
/// <remarks>Nothing is mapped: read into memory of its own, a model neither changes nor dies when its file does.</remarks>
internal sealed unsafe class WeightFile : IDisposable
{
    private const int Piece = 1 << 20; // bytes: stays in the cache between being read and being used

    private readonly string _path;
    private readonly SafeFileHandle _file;

    private WeightFile(string path, SafeFileHandle file)
    {
        _path = path;
        _file = file;
        Length = RandomAccess.GetLength(file);
    }

    /// <summary>Size of the file in bytes.</summary>
    public long Length { get; }

    /// <summary>Opens a file for reading; nobody can write to it meanwhile where the system enforces that.</summary>
    /// <exception cref="CheckpointException">The file is missing or cannot be read.</exception>
    public static WeightFile Open(string path)
    {
        SafeFileHandle? file = null;
        try
        {
            file = File.OpenHandle(path);
            return new WeightFile(path, file);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException or NotSupportedException)
        {
            file?.Dispose();
            throw Unreadable(path, e.Message, e);
        }
    }

    /// <summary>Opens a file that goes with the handle, or once the process ends where the system can do that.</summary>
    /// <exception cref="CheckpointException">The file is missing or cannot be read.</exception>
    public static WeightFile OpenTemporary(string path)
    {
        try
        {
            return new WeightFile(path, File.OpenHandle(path, options: FileOptions.DeleteOnClose));
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
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
                    throw Unreadable(_path, $"it ends at byte {RandomAccess.GetLength(_file)}, before what is to be read");
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

    /// <summary>Hands over a stretch of the file in order, a piece of whole elements at a time.</summary>
    /// <inheritdoc cref="Read(Span{byte}, long)" path="/exception"/>
    public void Read(long offset, long bytes, Action<ReadOnlySpan<byte>> take)
    {
        var buffer = ArrayPool<byte>.Shared.Rent(Piece);
        try
        {
            for (var end = offset + bytes; offset < end; offset += Piece)
            {
                var piece = buffer.AsSpan(0, (int)Math.Min(Piece, end - offset));
                Read(piece, offset);
                take(piece);
            }
        }
        finally
        {
            ArrayPool<byte>.Shared.Return(buffer);
        }
    }

    /// <summary>Fills a contiguous tensor from a place in the file, on all cores; floating-point elements are converted on
    /// the way.</summary>
    /// <param name="target">Of any device.</param>
    /// <param name="stored">Element type in the file.</param>
    /// <param name="offset">Where the first element lies; the caller has checked that the last lies inside too.</param>
    /// <inheritdoc cref="Read(Span{byte}, long)" path="/exception"/>
    public void Read(Tensor target, ScalarType stored, long offset)
    {
        if (
            target.device_type == DeviceType.CPU
            && (target.dtype == stored || (FloatConversion.Knows(target.dtype) && FloatConversion.Knows(stored)))
        )
        {
            ReadInPlace(target, stored, offset);
            return;
        }

        using var copy = empty(target.shape, stored).DetachFromDisposeScope();
        ReadInPlace(copy, stored, offset);
        target.copy_(copy);
    }

    /// <inheritdoc/>
    public void Dispose() => _file.Dispose();

    private void ReadInPlace(Tensor target, ScalarType stored, long offset)
    {
        var bytes = target.NumberOfElements * target.ElementSize;
        if (bytes == 0)
        {
            return;
        }

        fixed (byte* pinned = target.bytes)
        {
            var memory = pinned;
            LargePages.Advise(memory, bytes);
            try
            {
                Parallel.For(
                    0,
                    (bytes + Piece - 1) / Piece,
                    piece =>
                    {
                        var start = piece * Piece;
                        var part = new Span<byte>(memory + start, (int)Math.Min(Piece, bytes - start));
                        ReadPart(part, target.dtype, stored, offset, start);
                    }
                );
            }
            catch (AggregateException e)
            {
                ExceptionDispatchInfo.Throw(e.InnerExceptions[0]);
            }
        }
    }

    private void ReadPart(Span<byte> part, ScalarType type, ScalarType stored, long offset, long start)
    {
        if (type == stored)
        {
            Read(part, offset + start);
            return;
        }

        var (from, to) = (TorchStorage.SizeOf(stored), TorchStorage.SizeOf(type));
        var buffer = ArrayPool<byte>.Shared.Rent(part.Length / to * from);
        var narrow = buffer.AsSpan(0, part.Length / to * from);
        Read(narrow, offset + (start / to * from));
        FloatConversion.Convert(narrow, stored, part, type);
        ArrayPool<byte>.Shared.Return(buffer);
    }

    private static CheckpointException Unreadable(string path, string why, Exception? inner = null) =>
        new($"{path} cannot be read: {why}", inner);
}

/// <summary>Asks Linux for large pages behind memory that is about to be filled: a gigabyte of weights is then a few hundred
/// page faults instead of a quarter of a million, and fewer misses each time it is read. Advice only.</summary>
internal static unsafe partial class LargePages
{
    private const int HugePageAdvice = 14; // MADV_HUGEPAGE
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
