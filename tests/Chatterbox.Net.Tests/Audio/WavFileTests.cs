using Chatterbox.Audio;
using Chatterbox.Tests.Parity;
using CsCheck;

namespace Chatterbox.Tests.Audio;

public class WavFileTests
{
    private const int Pcm = 1;
    private const int Float = 3;

    [Theory]
    [InlineData(Pcm, 8, new byte[] { 0, 64, 128, 255 }, new[] { -1f, -0.5f, 0f, 127f / 128 })]
    [InlineData(Pcm, 16, new byte[] { 0, 0x80, 0, 0xC0, 0, 0, 0xFF, 0x7F }, new[] { -1f, -0.5f, 0f, 32767f / 32768 })]
    [InlineData(Pcm, 24, new byte[] { 0, 0, 0x80, 0, 0, 0xC0, 1, 0, 0, 0, 0, 0x40 }, new[] { -1f, -0.5f, 1f / 8388608, 0.5f })]
    [InlineData(Pcm, 32, new byte[] { 0, 0, 0, 0x80, 0, 0, 0, 0xC0, 0, 0, 0, 0, 0, 0, 0, 0x40 }, new[] { -1f, -0.5f, 0f, 0.5f })]
    [InlineData(Float, 32, new byte[] { 0, 0, 0x80, 0xBF, 0, 0, 0, 0x3F, 0, 0, 0, 0, 0, 0, 0, 0x40 }, new[] { -1f, 0.5f, 0f, 2f })]
    [InlineData(Float, 64, new byte[] { 0, 0, 0, 0, 0, 0, 0xF0, 0xBF, 0, 0, 0, 0, 0, 0, 0xE0, 0x3F }, new[] { -1f, 0.5f })]
    public void Samples_of_each_codec_are_scaled_as_libsndfile_does(int codec, int bits, byte[] data, float[] expected)
    {
        Assert.Equal(expected, Read(WavBytes.File(WavBytes.Format(codec, 1, 16000, bits), WavBytes.Chunk("data", data))).Samples);
        Assert.Equal(expected, Read(WavBytes.File(WavBytes.ExtensibleFormat(codec, 1, 16000, bits), WavBytes.Chunk("data", data))).Samples);
    }

    [Fact]
    public void Channels_are_averaged()
    {
        var data = WavBytes.Chunk("data", WavBytes.Shorts(8192, 16384, 0, -8192, -8192, -8192));
        Assert.Equal([0.375f, -0.125f, -0.25f], Read(WavBytes.File(WavBytes.Format(Pcm, 2, 44100, 16), data)).Samples.ToArray());
        Assert.Equal([0.25f, -0.25f], Read(WavBytes.File(WavBytes.Format(Pcm, 3, 44100, 16), data)).Samples.ToArray());
    }

    [Fact]
    public void Rate_and_duration_are_the_files()
    {
        var clip = Read(WavBytes.File(WavBytes.Format(Pcm, 1, 11025, 16), WavBytes.Chunk("data", new byte[22050])));
        Assert.Equal(11025, clip.SampleRate);
        Assert.Equal(TimeSpan.FromSeconds(1), clip.Duration);
    }

    [Fact]
    public void Other_chunks_are_skipped_with_their_padding()
    {
        var clip = Read(
            WavBytes.File(
                WavBytes.Chunk("JUNK", new byte[33]),
                WavBytes.Format(Float, 1, 8000, 32, extra: [0, 0]),
                WavBytes.Chunk("fact", [4, 0, 0, 0]),
                WavBytes.Chunk("LIST", new byte[70001]),
                WavBytes.Chunk("data", BitConverter.GetBytes(0.25f)),
                WavBytes.Chunk("LIST", new byte[50])
            )
        );
        Assert.Equal([0.25f], clip.Samples.ToArray());
    }

    [Theory]
    [InlineData(0xFFFFFFFF, 0xFFFFFFFF)]
    [InlineData(0xFFFFFFFF, 0)]
    [InlineData(0, 0)]
    [InlineData(36, 0)]
    [InlineData(0, 0x7FFFF000)]
    [InlineData(0x7FFFF024, 0x7FFFF000)]
    [InlineData(44, 1000)]
    public void A_streamed_or_truncated_file_gives_what_it_holds(uint riffSize, uint dataSize)
    {
        // The last byte is half a sample.
        byte[] data = [.. WavBytes.Shorts(8192, -8192, 16384), 99];
        var file = WavBytes.File(riffSize, WavBytes.Format(Pcm, 1, 16000, 16), WavBytes.Chunk("data", data, dataSize));
        Assert.Equal([0.25f, -0.25f, 0.5f], Read(file[..^1]).Samples.ToArray());
    }

    [Fact]
    public void A_large_files_own_size_is_used()
    {
        byte[] ds64 = [.. BitConverter.GetBytes(0L), .. BitConverter.GetBytes(2L), .. BitConverter.GetBytes(1L), 0, 0, 0, 0];
        var file = WavBytes.File(
            0xFFFFFFFF,
            WavBytes.Chunk("ds64", ds64),
            WavBytes.Format(Pcm, 1, 16000, 16),
            WavBytes.Chunk("data", WavBytes.Shorts(8192, 8192, 8192), 0xFFFFFFFF)
        );
        "RF64"u8.CopyTo(file);
        Assert.Equal([0.25f], Read(file).Samples.ToArray());
    }

    [Fact]
    public void What_was_written_is_read_back() =>
        Gen.Select(Gen.Float[-1, 1].Array[1, 40000], Gen.Int[1000, 192000], Gen.Bool)
            .Sample(
                (samples, rate, pcm) =>
                {
                    using var file = new MemoryStream();
                    WavFile.Write(file, samples, rate, pcm ? WavEncoding.Pcm16 : WavEncoding.FloatingPoint32);
                    var clip = Read(file.ToArray());
                    Assert.Equal(rate, clip.SampleRate);
                    Assert.Equal(pcm ? samples.Select(x => Pcm16.FromFloat(x) / 32768f) : samples, clip.Samples.ToArray());
                },
                iter: 50
            );

    [Fact]
    public void Writing_gives_the_canonical_header()
    {
        var path = Path.Combine(Path.GetTempPath(), Path.GetRandomFileName());
        try
        {
            WavFile.Write(path, [0.5f, -2f], 24000);
            byte[] expected =
            [
                .. "RIFF"u8,
                40,
                0,
                0,
                0,
                .. "WAVEfmt "u8,
                16,
                0,
                0,
                0,
                1,
                0,
                1,
                0,
                0xC0,
                0x5D,
                0,
                0,
                0x80,
                0xBB,
                0,
                0,
                2,
                0,
                16,
                0,
                .. "data"u8,
                4,
                0,
                0,
                0,
                0x00,
                0x40,
                0x00,
                0x80,
            ];
            Assert.Equal(expected, File.ReadAllBytes(path));
            Assert.Equal([0.5f, -1f], WavFile.Read(path, cancellationToken: TestContext.Current.CancellationToken).Samples.ToArray());
        }
        finally
        {
            File.Delete(path);
        }

        Assert.Throws<ArgumentOutOfRangeException>(() => WavFile.Write(Stream.Null, [0f], 0));
    }

    [Fact]
    public void A_forward_only_stream_will_do()
    {
        var file = File.ReadAllBytes(Path.Combine(Fixtures.Root, "audio", "jfk_16k_mono.wav"));
        var whole = Read(file);
        Assert.Equal(176000, whole.Samples.Length);
        Assert.Equal(whole.Samples, Read(new Trickle(file, 4093)).Samples);
    }

    public static TheoryData<string, byte[]> Faulty =>
        new()
        {
            { "empty", [] },
            { "does not begin as a WAV file", [1, 2, 3] },
            { "does not begin as a WAV file", [.. "RIFF"u8, 4, 0, 0, 0, .. "AVI "u8] },
            { "ends after 12 bytes", WavBytes.File() },
            { "no 'data' chunk", WavBytes.File(WavBytes.Format(Pcm, 1, 16000, 16)) },
            { "no 'data' chunk", WavBytes.File(WavBytes.Format(Pcm, 1, 16000, 16), WavBytes.Chunk("LIST", [1, 2], 0xFFFFFFFF)) },
            { "before their format", WavBytes.File(WavBytes.Chunk("data", [1, 2]), WavBytes.Format(Pcm, 1, 16000, 16)) },
            { "14 bytes, expected at least 16", WavBytes.File(WavBytes.Chunk("fmt ", new byte[14]), WavBytes.Chunk("data", [1, 2])) },
            { "0 channels at 16000 Hz", WavBytes.File(WavBytes.Format(Pcm, 0, 16000, 16), WavBytes.Chunk("data", [1, 2])) },
            { "1 channels at 0 Hz", WavBytes.File(WavBytes.Format(Pcm, 1, 0, 16), WavBytes.Chunk("data", [1, 2])) },
            { "at 4294967295 Hz", WavBytes.File(WavBytes.Format(Pcm, 1, uint.MaxValue, 16), WavBytes.Chunk("data", [1, 2])) },
            {
                "names 0 bytes for 1 channels of 16 bits, expected 2",
                WavBytes.File(WavBytes.Format(Pcm, 1, 16000, 16, 0), WavBytes.Chunk("data", [1, 2]))
            },
            {
                "names 65535 bytes for 1 channels",
                WavBytes.File(WavBytes.Format(Pcm, 1, 16000, 16, 65535), WavBytes.Chunk("data", [1, 2]))
            },
            { "expected 524280", WavBytes.File(WavBytes.Format(Float, 65535, 16000, 64), WavBytes.Chunk("data", [1, 2])) },
            {
                "codec 0x0011 with 4 bits; expected PCM",
                WavBytes.File(WavBytes.Format(0x11, 1, 16000, 4, 256), WavBytes.Chunk("data", [1, 2]))
            },
            { "codec 0x0001 with 12 bits", WavBytes.File(WavBytes.Format(Pcm, 1, 16000, 12, 2), WavBytes.Chunk("data", [1, 2])) },
            { "codec 0xFFFE", WavBytes.File(WavBytes.Format(0xFFFE, 1, 16000, 16), WavBytes.Chunk("data", [1, 2])) },
            {
                "holds no samples",
                WavBytes.File(WavBytes.Format(Pcm, 1, 16000, 16), WavBytes.Chunk("data", []), WavBytes.Chunk("LIST", new byte[40]))
            },
            { "holds no samples", WavBytes.File(WavBytes.Format(Pcm, 2, 16000, 16), WavBytes.Chunk("data", [1, 2])) },
            {
                "sample 1 is NaN",
                WavBytes.File(WavBytes.Format(Float, 1, 16000, 32), WavBytes.Chunk("data", [0, 0, 0, 0, 0, 0, 0xC0, 0x7F]))
            },
            { "is", WavBytes.File(WavBytes.Format(Float, 1, 16000, 64), WavBytes.Chunk("data", BitConverter.GetBytes(1e300))) },
        };

    [Theory, MemberData(nameof(Faulty))]
    public void A_faulty_file_is_refused_with_what_is_wrong(string expected, byte[] file)
    {
        Assert.Contains(expected, Assert.Throws<VoiceException>(() => Read(file)).Message, StringComparison.Ordinal);
        Assert.Contains(expected, Assert.Throws<VoiceException>(() => Read(new Trickle(file, 5))).Message, StringComparison.Ordinal);
    }

    [Fact]
    public void A_missing_file_is_refused() =>
        Assert.Contains(
            "/no/such.wav",
            Assert
                .Throws<VoiceException>(() => WavFile.Read("/no/such.wav", cancellationToken: TestContext.Current.CancellationToken))
                .Message,
            StringComparison.Ordinal
        );

    [Fact]
    public void A_recording_over_the_limit_is_refused_before_it_is_read()
    {
        var header = WavBytes.File(0x7FFFFFFF, WavBytes.Format(Pcm, 1, 16000, 16), WavBytes.Chunk("data", [], 3 * 3600 * 32000));
        var path = Path.Combine(Path.GetTempPath(), Path.GetRandomFileName());
        try
        {
            using (var file = File.Create(path))
            {
                file.Write(header);
                file.SetLength(header.Length + 3 * 3600 * 32000L); // three hours, without taking room on the disk
            }

            var before = GC.GetAllocatedBytesForCurrentThread();
            var error = Assert.Throws<VoiceException>(() => AudioFile.Load(path, TestContext.Current.CancellationToken));
            Assert.Contains("it lasts 03:00:00, expected at most 00:10:00", error.Message, StringComparison.Ordinal);
            Assert.InRange(GC.GetAllocatedBytesForCurrentThread() - before, 0, 1 << 20);
        }
        finally
        {
            File.Delete(path);
        }
    }

    [Fact]
    public void A_stream_over_the_limit_is_given_up_at_the_limit()
    {
        var file = WavBytes.File(0xFFFFFFFF, WavBytes.Format(Pcm, 1, 16000, 16), WavBytes.Chunk("data", new byte[32000 * 60], 0xFFFFFFFF));
        Assert.Contains("expected at most 00:00:05", Error(5), StringComparison.Ordinal);
        Assert.Contains("expected at most 00:00:59", Error(59), StringComparison.Ordinal);
        Assert.Equal(960000, Read(new Trickle(file, 1 << 20), TimeSpan.FromSeconds(60)).Samples.Length);

        string Error(int seconds) =>
            Assert.Throws<VoiceException>(() => Read(new Trickle(file, 1 << 20), TimeSpan.FromSeconds(seconds))).Message;
    }

    [Fact]
    public void Reading_can_be_cancelled() =>
        Assert.Throws<OperationCanceledException>(() =>
            WavFile.Read(
                new MemoryStream(WavBytes.File(WavBytes.Format(Pcm, 1, 16000, 16), WavBytes.Chunk("data", new byte[1000]))),
                cancellationToken: new(canceled: true)
            )
        );

    [Fact]
    public void Damaged_files_are_read_or_refused_without_crash_hang_or_great_allocations()
    {
        var recording = File.ReadAllBytes(Path.Combine(Fixtures.Root, "audio", "jfk_16k_mono.wav"))[..4000];
        byte[][] files =
        [
            recording,
            WavBytes.File(
                WavBytes.ExtensibleFormat(Pcm, 2, 48000, 24),
                WavBytes.Chunk("LIST", new byte[27]),
                WavBytes.Chunk("data", recording[1000..1600])
            ),
            WavBytes.File(
                WavBytes.Chunk("ds64", new byte[28]),
                WavBytes.Format(Float, 1, 24000, 32),
                WavBytes.Chunk("data", new byte[400])
            ),
            WavBytes.File(0xFFFFFFFF, WavBytes.Format(Pcm, 1, 8000, 8), WavBytes.Chunk("data", recording[1000..1500], 0)),
        ];

        // Mostly in the header: a byte, a 16- or 32-bit number of extreme value, a cut, a piece twice.
        var place = Gen.Frequency((4, Gen.Int[0, 80]), (1, Gen.Int[0, 3999]));
        uint[] numbers = [0, 1, 2, 0x7F, 0xFF, 0x7FFF, 0x8000, 0xFFFE, 0xFFFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFE, 0xFFFFFFFF];
        var number = Gen.Int[0, numbers.Length - 1].Select(i => numbers[i]);
        var mutation = Gen.Select(Gen.Int[0, 5], place, number);
        Gen.Select(Gen.Int[0, files.Length - 1], mutation.List[1, 4], Gen.Bool)
            .Sample(
                (which, mutations, forwardOnly) =>
                {
                    var file = mutations.Aggregate(files[which], (bytes, m) => Mutate(bytes, m.Item1, m.Item2, m.Item3));
                    var before = GC.GetAllocatedBytesForCurrentThread();
                    try
                    {
                        var clip = Read(forwardOnly ? new Trickle(file, 97) : new MemoryStream(file));
                        Assert.InRange(clip.Samples.Length, 1, file.Length);
                        Assert.All(clip.Samples.ToArray(), sample => Assert.True(float.IsFinite(sample)));
                        Assert.InRange(clip.SampleRate, 1000, 192_000);
                    }
                    catch (VoiceException e)
                    {
                        Assert.StartsWith("The WAV data: ", e.Message, StringComparison.Ordinal);
                    }

                    Assert.InRange(GC.GetAllocatedBytesForCurrentThread() - before, 0, 4_000_000);
                },
                iter: 20_000,
                threads: 1
            );
    }

    private static byte[] Mutate(byte[] file, int kind, int place, uint number)
    {
        place = Math.Min(place, Math.Max(0, file.Length - 4));
        var bytes = BitConverter.GetBytes(number);
        return kind switch
        {
            0 => [.. file[..place], bytes[0], .. file[Math.Min(file.Length, place + 1)..]],
            1 => [.. file[..place], .. bytes[..2], .. file[Math.Min(file.Length, place + 2)..]],
            2 => [.. file[..place], .. bytes, .. file[Math.Min(file.Length, place + 4)..]],
            3 => file[..place],
            4 => [.. file[..place], .. file[(place / 2)..]],
            _ => [.. file[..place], .. file[Math.Min(file.Length, place + 8)..]],
        };
    }

    private static AudioClip Read(byte[] file) => Read(new MemoryStream(file));

    private static AudioClip Read(Stream file, TimeSpan? longest = null) =>
        WavFile.Read(file, longest, TestContext.Current.CancellationToken);
}
