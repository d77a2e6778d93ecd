using PublicApiGenerator;

namespace Chatterbox.Tests;

/// <summary>The public surface of each package is the approved one: the files in the folder PublicApi.</summary>
public sealed class PublicApiTests
{
    private static readonly string Folder = Path.Combine(Path.GetDirectoryName(ThisFile())!, "PublicApi");

    [Theory]
    [InlineData(typeof(ChatterboxModel))]
    [InlineData(typeof(Extensions.AI.ChatterboxTextToSpeechClient))]
    [InlineData(typeof(NAudio.SpeechSampleProvider))]
    public void The_public_surface_is_the_approved_one(Type one)
    {
        var file = Path.Combine(Folder, $"{one.Assembly.GetName().Name}.txt");
        var surface = one
            .Assembly.GeneratePublicApi(
                new()
                {
                    IncludeAssemblyAttributes = false,
                    ExcludeAttributes =
                    [
                        "System.Runtime.CompilerServices.AsyncIteratorStateMachineAttribute",
                        "System.Runtime.CompilerServices.EnumeratorCancellationAttribute",
                    ],
                }
            )
            .ReplaceLineEndings("\n");
        if (!File.Exists(file) || File.ReadAllText(file) != surface)
        {
            var proposed = Path.ChangeExtension(file, ".proposed.txt");
            File.WriteAllText(proposed, surface);
            Assert.Fail(
                $"The public surface has changed. Compare {proposed} with the approved file, and replace that if every change is meant."
            );
        }

        Assert.DoesNotContain("TorchSharp", surface, StringComparison.Ordinal);
    }

    private static string ThisFile([System.Runtime.CompilerServices.CallerFilePath] string path = "") => path;
}
