using System.Buffers.Binary;
using System.Collections.Concurrent;
using Chatterbox;

namespace Fuzz;

/// <summary>Damages sound files and gives them to a reader, which has to end soon, with a result or an error that is meant
/// for people, without more memory than the file is worth.</summary>
public static class Fuzzer
{
    private const int MostEdits = 6;
    private const int InPlaceEdits = 5;
    private const int AllEdits = 10;
    private const int MostFailures = 20;
    private const int TimesAsLong = 1000; // as the sound file that takes longest, and a millisecond
    private const int BytesPerByte = 100; // a byte of JSON or pickle becomes some objects
    private const long RepeatedBytes = 64 << 20; // what a torch archive may ask for by strides of 0

    private static readonly long[] TellingIntegers =
    [
        0,
        1,
        -1,
        0x7F,
        0x80,
        0xFF,
        0x7FFF,
        0xFFFF,
        int.MaxValue,
        int.MinValue,
        uint.MaxValue,
        long.MaxValue,
        long.MinValue,
        1L << 40,
    ];
    private static readonly byte[] TellingBytes = [0, 1, 0x7F, 0x80, 0xFF, .. "()[]{}\",:.0129-eE/\\"u8, .. "RQqhcbtu"u8];

    /// <summary>Runs some inputs.</summary>
    /// <param name="reader">Who reads them.</param>
    /// <param name="count">How many.</param>
    /// <param name="seed">Makes the inputs: input n of a seed is always the same.</param>
    /// <param name="threads">How many at the same time.</param>
    public static Findings Run(Reader reader, long count, int seed, int threads = 1)
    {
        var folder = Directory.CreateTempSubdirectory("fuzz-").FullName;
        var findings = new Findings();
        try
        {
            var longest = LongestOf(reader, folder);
            var next = 0L;
            var workers = Enumerable
                .Range(0, threads)
                .Select(worker => new Thread(() =>
                {
                    var path = Path.Combine(folder, $"{worker}");
                    while (Interlocked.Increment(ref next) is var number && number <= count && findings.Failures.Count < MostFailures)
                    {
                        Try(reader, path, number, InputOf(reader, seed, number), longest, findings);
                    }
                }))
                .ToList();
            workers.ForEach(worker => worker.Start());
            workers.ForEach(worker => worker.Join());
            return findings;
        }
        finally
        {
            Directory.Delete(folder, recursive: true);
        }
    }

    /// <summary>One input.</summary>
    public static byte[] InputOf(Reader reader, int seed, long number)
    {
        var random = new Random(unchecked((seed * 1_000_003) + (int)number));
        var input = reader.Samples[random.Next(reader.Samples.Count)];
        var kinds = random.Next(2) == 0 ? InPlaceEdits : AllEdits; // what moves nothing gets further into files with offsets
        for (var edits = random.Next(1, MostEdits + 1); edits > 0; edits--)
        {
            input = Edit(input, reader.Samples[random.Next(reader.Samples.Count)], random.Next(kinds), random);
        }

        return input;
    }

    private static void Try(Reader reader, string path, long number, byte[] input, TimeSpan longest, Findings findings)
    {
        File.WriteAllBytes(path, input);
        if (FaultOf(reader, path, input, longest, findings) is { } fault)
        {
            findings.Failures.Add(new Failure(number, fault, input));
        }

        findings.Count();
    }

    private static string? FaultOf(Reader reader, string path, byte[] input, TimeSpan longest, Findings findings)
    {
        var began = ProcessorTime.Now;
        var before = GC.GetAllocatedBytesForCurrentThread();
        var largest = 0L;
        try
        {
            largest = reader.Read(path);
            findings.CountRead();
        }
        catch (ChatterboxException)
        {
            // The other of the two allowed ends.
        }
        catch (Exception e)
        {
            return $"{e.GetType().Name}: {e.Message} {e.StackTrace?.Split('\n')[0].Trim()}";
        }

        var allocated = GC.GetAllocatedBytesForCurrentThread() - before;
        var taken = ProcessorTime.Now - began;
        findings.Saw(taken, allocated);
        return taken > longest ? $"took {taken.TotalSeconds:0.0} s of a processor, expected at most {longest.TotalSeconds:0.0} s"
            : allocated > reader.MostBytes + ((long)BytesPerByte * input.Length) ? $"allocated {allocated} bytes for {input.Length}"
            : largest > RepeatedBytes + ((long)BytesPerByte * input.Length) ? $"gave {largest} bytes of {input.Length}"
            : null;
    }

    /// <summary>The most processor time that an input may take: so many times what a sample does once the reader has been used.</summary>
    private static TimeSpan LongestOf(Reader reader, string folder)
    {
        var path = Path.Combine(folder, "sound");
        return TimesAsLong
            * (
                TimeSpan.FromMilliseconds(1)
                + reader.Samples.Max(sample =>
                {
                    File.WriteAllBytes(path, sample);
                    return ProcessorTime.Of(() => Read(reader, path));
                })
            );
    }

    private static void Read(Reader reader, string path)
    {
        try
        {
            reader.Read(path);
        }
        catch (ChatterboxException)
        {
            // Samples that are to be refused are good beginnings as well.
        }
    }

    /// <summary>Changes one thing; the first <see cref="InPlaceEdits"/> kinds leave all else where it is.</summary>
    private static byte[] Edit(byte[] input, byte[] other, int kind, Random random)
    {
        if (input.Length == 0)
        {
            return other;
        }

        var at = random.Next(input.Length);
        var changed = input.ToArray();
        switch (kind)
        {
            case 0:
                changed[at] = (byte)random.Next(256);
                return changed;
            case 1:
                changed[at] ^= (byte)(1 << random.Next(8));
                return changed;
            case 2:
                changed[at] = TellingBytes[random.Next(TellingBytes.Length)];
                return changed;
            case 3:
                WriteInteger(changed.AsSpan(at), random);
                return changed;
            case 4:
                return ChangeDigit(changed, at, random);
            case 5:
                return input[..at];
            case 6:
                return [.. input[..at], TellingBytes[random.Next(TellingBytes.Length)], .. input[at..]];
            case 7:
                return [.. input[..at], .. input[Math.Min(input.Length, at + random.Next(1, 9))..]];
            case 8:
                var block = input.AsSpan(at, Math.Min(random.Next(1, 65), input.Length - at));
                return [.. input[..at], .. block, .. block, .. input[(at + block.Length)..]];
            default:
                var from = random.Next(Math.Max(1, other.Length));
                return [.. input[..at], .. other[from..Math.Min(other.Length, from + random.Next(1, 257))], .. input[at..]];
        }
    }

    private static void WriteInteger(Span<byte> target, Random random)
    {
        Span<byte> bytes = stackalloc byte[sizeof(long)];
        BinaryPrimitives.WriteInt64LittleEndian(bytes, TellingIntegers[random.Next(TellingIntegers.Length)]);
        var length = Math.Min(1 << random.Next(4), target.Length);
        bytes[..length].CopyTo(target);
    }

    /// <summary>Changes the next decimal digit, such as those of shapes and offsets in a header.</summary>
    private static byte[] ChangeDigit(byte[] input, int at, Random random)
    {
        var digit = Array.FindIndex(input, at, b => char.IsAsciiDigit((char)b));
        if (digit >= 0)
        {
            input[digit] = (byte)('0' + random.Next(10));
        }

        return input;
    }
}

/// <summary>An input that a reader failed on.</summary>
/// <param name="Number">Which input of the seed.</param>
/// <param name="What">What happened.</param>
/// <param name="Input">Its bytes.</param>
public sealed record Failure(long Number, string What, byte[] Input);

/// <summary>What became of all inputs.</summary>
public sealed class Findings
{
    private readonly Lock _lock = new();
    private long _inputs;
    private long _read;
    private long _mostAllocated;
    private TimeSpan _longest;

    /// <summary>Inputs that a reader failed on.</summary>
    public ConcurrentBag<Failure> Failures { get; } = [];

    /// <summary>Inputs that were tried.</summary>
    public long Inputs => _inputs;

    /// <summary>Inputs that were read to the end: their damage did not matter.</summary>
    public long Read => _read;

    /// <inheritdoc/>
    public override string ToString() =>
        $"{_inputs} inputs, {_read} of them read, {Failures.Count} failures, longest {_longest.TotalMilliseconds:0} ms, most allocated "
        + $"{_mostAllocated / 1024} KiB";

    internal void Count() => Interlocked.Increment(ref _inputs);

    internal void CountRead() => Interlocked.Increment(ref _read);

    internal void Saw(TimeSpan elapsed, long allocated)
    {
        lock (_lock)
        {
            _longest = elapsed > _longest ? elapsed : _longest;
            _mostAllocated = Math.Max(_mostAllocated, allocated);
        }
    }
}
