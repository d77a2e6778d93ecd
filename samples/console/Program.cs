// A text becomes a WAV file.  dotnet run -- MODEL
using Chatterbox;
using Chatterbox.Audio;
using Chatterbox.Engine;

await using var engine = new SpeechEngine(await ChatterboxModel.LoadAsync(args.FirstOrDefault("nano")));
var speech = await engine.SynthesizeAsync("Hello there. How are you?");
WavFile.Write("hello.wav", speech.Samples.Span, SpeechResult.SampleRate);
Console.WriteLine($"hello.wav: {speech.Duration.TotalSeconds:0.0} s");
