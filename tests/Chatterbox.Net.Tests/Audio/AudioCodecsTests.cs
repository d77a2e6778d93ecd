using System.Buffers.Binary;
using System.Diagnostics;
using System.Security.Cryptography;
using Chatterbox.Audio;
using Chatterbox.Audio.Mp3;
using Chatterbox.Audio.Ogg;

namespace Chatterbox.Tests.Audio;

/// <summary>What the encoders write, decoded by programs that share nothing with them.</summary>
public sealed class AudioCodecsTests : IDisposable
{
    private readonly EncodedRecordings _encoded = new();
    private readonly AudioCodecs _codecs = new("/no/such/ffmpeg");

    private static CancellationToken Cancel => TestContext.Current.CancellationToken;

    public void Dispose()
    {
        _codecs.Dispose();
        _encoded.Dispose();
    }

    [Theory]
    [InlineData("flac")]
    [InlineData("flac_8000")]
    [InlineData("flac_44100")]
    public async Task Flac_is_lossless_and_passes_its_own_programs_test(string name)
    {
        var (path, expected) = await Write(name, ".flac");
        RunOrSkip("flac", $"-s -t {path}");
        Assert.Equal(expected.Select(x => Pcm16.FromFloat(x) / 32768f), _encoded.Decode(path).Samples.ToArray());
        Assert.Equal(expected.Select(x => Pcm16.FromFloat(x) / 32768f), AudioFile.Load(path, Cancel).Samples.ToArray());

        // The header of a whole file says its length and checksum, that of a stream neither.
        var file = await File.ReadAllBytesAsync(path, Cancel);
        var pcm = new byte[2 * expected.Length];
        Pcm16.Encode(expected, pcm);
        Assert.Equal(CryptographicOperations.HashData(HashAlgorithmName.MD5, pcm), file[26..42]);
        Assert.Equal(expected.Length, BinaryPrimitives.ReadInt32BigEndian(file.AsSpan(22)));
        var streamed = await Collect(_codecs.Encode(Blocks([Speech()]), AudioFormat.Parse(name), cancellationToken: Cancel));
        Assert.Equal(new byte[20], streamed[22..42]);
        Assert.Equal(file[42..], streamed[42..]);
    }

    [Theory]
    [InlineData("opus", 15)]
    [InlineData("opus_48000_96", 18)]
    [InlineData("opus_8000_16", 5)]
    public async Task Opus_is_as_long_to_the_sample_and_close(string name, double decibels)
    {
        var (path, expected) = await Write(name, ".opus");
        var decoded = _encoded.Decode(path, "-c:a libopus");
        var inClock = OpusReader.SampleRate / AudioFormat.Parse(name).SampleRate;
        Assert.Equal(expected.Length * inClock, decoded.Samples.Length);
        var atOurRate = Resampler.Resample(decoded.Samples.ToArray(), OpusReader.SampleRate, AudioFormat.Parse(name).SampleRate);
        Assert.InRange(SignalToNoise.Of(expected, atOurRate), decibels, 60);
        Assert.DoesNotContain("WARNING", RunOrSkip("opusinfo", path), StringComparison.OrdinalIgnoreCase);
    }

    [Theory]
    [InlineData("mp3", 35)]
    [InlineData("mp3_24000_64", 20)]
    [InlineData("mp3_8000_32", 20)]
    [InlineData("mp3_12000_32", 18)]
    [InlineData("mp3_16000_48", 20)]
    [InlineData("mp3_22050_32", 12)]
    [InlineData("mp3_32000_96", 25)]
    [InlineData("mp3_44100_128", 25)]
    [InlineData("mp3_48000_192", 35)]
    public async Task Mp3_is_close_in_every_generation(string name, double decibels)
    {
        var format = AudioFormat.Parse(name);
        var samples = Resampler.Resample(Speech(), SpeechResult.SampleRate, format.SampleRate);
        var path = Path.Combine(_encoded.Folder, "own.mp3");
        await File.WriteAllBytesAsync(path, Encode(new Mp3Encoder(format.SampleRate, format.BitRate!.Value), samples), Cancel);
        Assert.InRange(SignalToNoise.Segmental(samples, _encoded.Decode(path).Samples.ToArray(), format.SampleRate), decibels, 90);
        Assert.Equal("", RunOrSkip("mpg123", $"-q -t {path}"));

        // A whole file says what its encoder put before and after the samples, which players then cut off.
        await File.WriteAllBytesAsync(
            path,
            Encode(new Mp3Encoder(format.SampleRate, format.BitRate!.Value, isWhole: true), samples, isWhole: true),
            Cancel
        );
        Assert.Equal(samples.Length, _encoded.Decode(path).Samples.Length);
        Assert.InRange(SignalToNoise.Of(samples, _encoded.Decode(path).Samples.ToArray()), decibels - 10, 90);
        Assert.Equal("", RunOrSkip("mpg123", $"-q -t {path}"));
        if (format.SampleRate > 8000)
        {
            Assert.Equal(samples.Length, AudioFile.Load(path, Cancel).Samples.Length);
        }

        // Whichever encoder is installed for it.
        var (installed, _) = await Write(name, ".mp3");
        if (!LameEncoder.IsInstalled || Mp3Header.Of(format.SampleRate, format.BitRate!.Value).FrameBytes > 180)
        {
            Assert.Equal(samples.Length, _encoded.Decode(installed).Samples.Length); // libmp3lame says it where its frames have room
        }

        Assert.InRange(SignalToNoise.Segmental(samples, _encoded.Decode(installed).Samples.ToArray(), format.SampleRate), decibels - 6, 90);
    }

    [Theory]
    [InlineData("librispeech_6930-75918-0001_14s.wav", 64)]
    [InlineData("librispeech_6930-75918-0001_14s.wav", 128)]
    [InlineData("jfk_16k_mono.wav", 64)]
    [InlineData("jfk_16k_mono.wav", 128)]
    public void Our_mp3_is_no_worse_than_libmp3lames_by_3_decibels(string recording, int kilobits)
    {
        Assert.SkipUnless(LameEncoder.IsInstalled, "libmp3lame is not installed");
        var samples = Speech(recording);
        var (ours, theirs) = (Quality(new Mp3Encoder(24_000, kilobits * 1000)), Quality(new LameEncoder(24_000, kilobits * 1000)));
        TestContext.Current.TestOutputHelper?.WriteLine(
            $"{recording} at {kilobits} kbit/s: ours {ours:0.0} dB, libmp3lame {theirs:0.0} dB"
        );
        Assert.True(ours > theirs - 3, $"ours {ours:0.0} dB, libmp3lame {theirs:0.0} dB");

        double Quality(IAudioEncoder encoder)
        {
            var path = Path.Combine(_encoded.Folder, "compared.mp3");
            File.WriteAllBytes(path, Encode(encoder, samples));
            return SignalToNoise.Segmental(samples, _encoded.Decode(path).Samples.ToArray(), 24_000);
        }
    }

    [Fact]
    public void Mp3_of_extreme_signals_can_be_decoded()
    {
        var random = new Random(5);
        float[][] signals =
        [
            new float[30_000],
            [.. Enumerable.Range(0, 30_000).Select(i => i % 2 == 0 ? 1f : -1f)],
            [.. Enumerable.Range(0, 30_000).Select(_ => (2 * random.NextSingle()) - 1)],
            [.. Enumerable.Range(0, 30_000).Select(i => i % 4000 == 0 ? 1f : 0)],
            [.. Enumerable.Range(0, 30_000).Select(i => i % 6000 < 200 ? (2 * random.NextSingle()) - 1 : 0)],
            [1e-5f],
            [],
        ];
        foreach (
            var (signal, rate, kilobits) in signals.SelectMany(s =>
                new[] { (s, 24_000, 128), (s, 24_000, 8), (s, 44_100, 32), (s, 48_000, 320) }
            )
        )
        {
            var path = Path.Combine(_encoded.Folder, "extreme.mp3");
            File.WriteAllBytes(path, Encode(new Mp3Encoder(rate, kilobits * 1000), signal));
            Assert.Equal("", RunOrSkip("mpg123", $"-q -t {path}"));
            if (signal.Length > 1) // ffmpeg does not try to decode less than some frames
            {
                Assert.InRange(_encoded.Decode(path).Samples.Length, signal.Length + Mp3Encoder.DelaySamples, signal.Length + 5000);
            }
        }
    }

    [Fact]
    public async Task G711_is_decoded_by_ffmpeg_as_by_us()
    {
        foreach (var (name, codec) in new[] { ("ulaw", "mulaw"), ("alaw", "alaw") })
        {
            var (path, expected) = await Write(name, "." + name);
            Func<byte, short> decode = name == "ulaw" ? G711.FromMuLaw : G711.FromALaw;
            float[] ours = [.. (await File.ReadAllBytesAsync(path, Cancel)).Select(code => decode(code) / 32768f)];
            Assert.Equal(_encoded.Decode(path, $"-f {codec} -ar 8000 -ac 1").Samples, ours);
            Assert.InRange(SignalToNoise.Of(expected, ours), 30, 45);
        }
    }

    [Fact]
    public void G711_is_off_by_half_a_step_at_most()
    {
        for (var sample = -32_000; sample <= 32_000; sample += 7)
        {
            Assert.InRange(Math.Abs(G711.FromMuLaw(G711.ToMuLaw((short)sample)) - sample), 0, (Math.Abs(sample) + 132) / 32);
            Assert.InRange(Math.Abs(G711.FromALaw(G711.ToALaw((short)sample)) - sample), 0, Math.Max(8, (Math.Abs(sample) / 32) + 1));
        }
    }

    [Fact]
    public void G711_gives_each_of_its_codes_back()
    {
        for (var code = 0; code < 256; code++)
        {
            Assert.Equal(G711.FromMuLaw((byte)code), G711.FromMuLaw(G711.ToMuLaw(G711.FromMuLaw((byte)code))));
            Assert.Equal(code, G711.ToALaw(G711.FromALaw((byte)code)));
        }
    }

    [Theory]
    [InlineData("wav")]
    [InlineData("pcm_16000")]
    [InlineData("ulaw")]
    [InlineData("flac_22050")]
    [InlineData("opus")]
    [InlineData("mp3_44100_128")]
    public async Task Blocks_of_any_size_give_the_bytes_of_the_whole(string name)
    {
        var samples = Speech()[..30_000];
        var format = AudioFormat.Parse(name);
        foreach (var speed in new[] { 1, 1.3 })
        {
            var whole = await Collect(_codecs.Encode(Blocks([samples]), format, speed, cancellationToken: Cancel));
            var random = new Random(1);
            var pieces = new List<float[]>();
            for (var i = 0; i < samples.Length; )
            {
                var length = Math.Min(samples.Length - i, random.Next(0, 3000));
                pieces.Add(samples[i..(i + length)]);
                i += length;
            }

            Assert.Equal(whole, await Collect(_codecs.Encode(Blocks(pieces), format, speed, cancellationToken: Cancel)));
        }
    }

    [Fact]
    public async Task A_whole_wav_file_knows_its_length_and_a_stream_does_not()
    {
        var samples = Speech()[..12_345];
        using var file = new MemoryStream();
        await _codecs.WriteAsync(file, samples, AudioFormat.Parse("wav"), cancellationToken: Cancel);
        Assert.Equal(file.Length - 8, BitConverter.ToUInt32(file.ToArray(), 4));
        Assert.Equal(2u * 12_345, BitConverter.ToUInt32(file.ToArray(), 40));
        var streamed = await Collect(_codecs.Encode(Blocks([samples]), AudioFormat.Parse("wav"), cancellationToken: Cancel));
        Assert.Equal((uint.MaxValue, uint.MaxValue), (BitConverter.ToUInt32(streamed, 4), BitConverter.ToUInt32(streamed, 40)));
        Assert.Equal(file.ToArray()[44..], streamed[44..]);
    }

    [Theory]
    [InlineData("wav")]
    [InlineData("mp3")]
    [InlineData("flac")]
    [InlineData("opus")]
    [InlineData("wav_44100")]
    public async Task A_file_that_is_written_as_it_comes_is_the_whole_one(string name)
    {
        var (format, samples) = (AudioFormat.Parse(name), Speech());
        using var whole = new MemoryStream();
        await _codecs.WriteAsync(whole, samples, format, cancellationToken: Cancel);
        var path = Path.Combine(_encoded.Folder, $"as-it-comes.{name}");
        await _codecs.WriteFileAsync(path, Blocks(samples.Chunk(5000)), format, cancellationToken: Cancel);
        Assert.Equal(whole.ToArray(), await File.ReadAllBytesAsync(path, Cancel));
    }

    [Fact]
    public async Task An_audiobook_has_its_title_and_chapters()
    {
        EncodedRecordings.SkipWithoutFfmpeg();
        using var codecs = new AudioCodecs();
        var (path, samples) = (Path.Combine(_encoded.Folder, "book.m4b"), Speech());
        await codecs.WriteBookAsync(path, Blocks([samples]), "A = book;", [new("One", 0, 3), new("Two", 3, 8)], cancellationToken: Cancel);
        Assert.Equal(8, _encoded.Decode(path).Duration.TotalSeconds, tolerance: 0.1);
        var bytes = await File.ReadAllTextAsync(path, System.Text.Encoding.Latin1, Cancel);
        Assert.Contains("A = book;", bytes);
        Assert.Contains("chpl", bytes);
        Assert.Empty(Directory.GetFiles(_encoded.Folder, "*.chapters"));
    }

    [Fact]
    public async Task Without_ffmpeg_all_but_aac_are_encoded_and_aac_is_refused_with_the_reason()
    {
        foreach (var support in _codecs.Support())
        {
            var format = AudioFormat.Parse(support.Name);
            if (support.Name == "aac")
            {
                Assert.Contains(
                    "ffmpeg",
                    Assert.Throws<RequestException>(() => _codecs.ThrowIfUnsupported(format)).Message,
                    StringComparison.Ordinal
                );
                Assert.Contains("apt install ffmpeg", support.Missing, StringComparison.Ordinal);
                await Assert.ThrowsAsync<EncoderException>(() =>
                    Collect(_codecs.Encode(Blocks([new float[1000]]), format, cancellationToken: Cancel))
                );
            }
            else
            {
                Assert.Null(support.Missing);
                Assert.NotEmpty(await Collect(_codecs.Encode(Blocks([new float[1000]]), format, cancellationToken: Cancel)));
            }
        }
    }

    [Fact]
    public async Task No_samples_give_no_bytes() =>
        Assert.Empty(
            await Collect(
                _codecs.Encode(
                    Blocks([
                        [],
                        [],
                    ]),
                    AudioFormat.Parse("wav"),
                    cancellationToken: Cancel
                )
            )
        );

    [Fact]
    public async Task Aac_comes_from_ffmpeg()
    {
        EncodedRecordings.SkipWithoutFfmpeg();
        using var codecs = new AudioCodecs();
        using var file = new MemoryStream();
        var samples = Speech();
        await codecs.WriteAsync(file, samples, AudioFormat.Parse("aac"), cancellationToken: Cancel);
        var path = Path.Combine(_encoded.Folder, "a.aac");
        await File.WriteAllBytesAsync(path, file.ToArray(), Cancel);
        Assert.InRange(SignalToNoise.Segmental(samples, _encoded.Decode(path).Samples.ToArray(), 24_000), 15, 80);
    }

    private static float[] Speech(string recording = "jfk_16k_mono.wav")
    {
        var clip = AudioFile.Load(EncodedRecordings.Original(recording));
        return Resampler.Resample(clip.Samples.ToArray(), clip.SampleRate, SpeechResult.SampleRate)[..(8 * SpeechResult.SampleRate)];
    }

    private static byte[] Encode(IAudioEncoder encoder, float[] samples, bool isWhole = false)
    {
        using (encoder)
        {
            var output = new System.Buffers.ArrayBufferWriter<byte>();
            encoder.Encode(samples, output);
            encoder.Finish(output);
            var file = output.WrittenSpan.ToArray();
            if (isWhole)
            {
                encoder.Complete(file, file.Length);
            }

            return file;
        }
    }

    private static async IAsyncEnumerable<ReadOnlyMemory<float>> Blocks(IEnumerable<float[]> blocks)
    {
        await Task.Yield();
        foreach (var block in blocks)
        {
            yield return block;
        }
    }

    private static async Task<byte[]> Collect(IAsyncEnumerable<ReadOnlyMemory<byte>> blocks)
    {
        using var bytes = new MemoryStream();
        await foreach (var block in blocks)
        {
            bytes.Write(block.Span);
        }

        return bytes.ToArray();
    }

    private static string RunOrSkip(string program, string arguments)
    {
        Assert.SkipUnless(
            (Environment.GetEnvironmentVariable("PATH") ?? "").Split(':').Any(f => File.Exists(Path.Combine(f, program))),
            $"{program} is not installed"
        );
        using var process = Process.Start(
            new ProcessStartInfo(program, arguments) { RedirectStandardError = true, RedirectStandardOutput = true }
        )!;
        var messages = process.StandardError.ReadToEndAsync();
        process.StandardOutput.ReadToEnd();
        process.WaitForExit();
        Assert.True(process.ExitCode == 0, messages.Result);
        return messages.Result;
    }

    /// <summary>Writes speech in a format.</summary>
    /// <returns>The file, and the samples at the format's rate that went in.</returns>
    private async Task<(string Path, float[] Expected)> Write(string name, string ending)
    {
        var (format, samples) = (AudioFormat.Parse(name), Speech());
        var path = Path.Combine(_encoded.Folder, "written" + ending);
        await using (var file = File.Create(path))
        {
            await _codecs.WriteAsync(file, samples, format, cancellationToken: Cancel);
        }

        return (path, Resampler.Resample(samples, SpeechResult.SampleRate, format.SampleRate));
    }
}
