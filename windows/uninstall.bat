@echo off
rem Removes what install.bat has put into this folder. Videos and mattes are not touched.
setlocal EnableExtensions DisableDelayedExpansion
for %%R in ("%~dp0..") do set "ROOT=%%~fR"
if defined VRMATTE_NO_PAUSE goto remove
set "ANSWER="
set /p "ANSWER=Remove Python, packages and weights from %ROOT%? [y/N] "
if /i not "%ANSWER%"=="y" exit /b 0

:remove
for %%D in (.venv .uv) do if exist "%ROOT%\%%D" rmdir /s /q "%ROOT%\%%D"
if exist "%ROOT%\.venv" goto failed
if exist "%ROOT%\.uv" goto failed
echo Removed. Delete this folder to remove the rest.
if not defined VRMATTE_NO_PAUSE pause
exit /b 0

:failed
echo Some files are in use: close vrmatte and run this again.
if not defined VRMATTE_NO_PAUSE pause
exit /b 1
